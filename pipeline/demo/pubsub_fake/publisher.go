package main

import (
	"context"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The limits of the service.
const (
	maxMessages  = 1000
	maxData      = 10_000_000
	maxAttrs     = 100
	maxAttrKey   = 256
	maxAttrValue = 1024
	maxKey       = 1024
)

// publisher refuses what the service refuses, and the fake takes.
type publisher struct{ *pstest.GServer }

func (p publisher) Publish(ctx context.Context, req *pb.PublishRequest) (*pb.PublishResponse, error) {
	refuse := func(why string) (*pb.PublishResponse, error) {
		return nil, status.Error(codes.InvalidArgument, why)
	}
	if len(req.Messages) == 0 || len(req.Messages) > maxMessages {
		return refuse("The value for message_count is out of bounds.")
	}
	size := 0
	for _, m := range req.Messages {
		size += len(m.Data)
		if len(m.Data) == 0 && len(m.Attributes) == 0 {
			return refuse("Some messages in the publish request are empty.")
		}
		if len(m.Attributes) > maxAttrs || len(m.OrderingKey) > maxKey {
			return refuse("The request contains too many attributes or too long an ordering key.")
		}
		if m.OrderingKey != req.Messages[0].OrderingKey {
			return refuse("In a single publish request, all messages must have no ordering key " +
				"or they must all have the same ordering key.")
		}
		for key, value := range m.Attributes {
			size += len(key) + len(value)
			if key == "" || len(key) > maxAttrKey || len(value) > maxAttrValue {
				return refuse("The request contains an attribute key or value that is too long.")
			}
		}
	}
	if size > maxData {
		return refuse("Request payload size exceeds the limit: 10485760 bytes.")
	}
	return p.GServer.Publish(ctx, req)
}
