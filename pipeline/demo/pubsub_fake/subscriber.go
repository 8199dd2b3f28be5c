package main

import (
	"context"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	// How often a stream looks for messages.
	look = 5 * time.Millisecond
	// The most messages and bytes of a response.
	mostMessages = 500
	mostBytes    = 4 << 20
)

// subscriber is the fake's, but for what the service does and the fake does not: its streams send many
// messages at once (the fake, one in ten milliseconds) and no more than a client wants outstanding, and
// subscriptions of exactly-once delivery refuse ack ids that are not good any more.
type subscriber struct {
	*pstest.GServer
	mu     sync.Mutex
	leases map[string]map[string]*lease // by subscription and message id: the newest of each
}

type lease struct {
	ackID    string
	size     int
	stream   *stream
	deadline time.Time
}

type stream struct {
	messages, bytes int // outstanding
}

func newSubscriber(fake *pstest.GServer) *subscriber {
	return &subscriber{GServer: fake, leases: map[string]map[string]*lease{}}
}

func (s *subscriber) StreamingPull(server pb.Subscriber_StreamingPullServer) error {
	first, err := server.Recv()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := server.Recv(); err != nil {
				ended <- err
				return
			}
		}
	}()
	st := &stream{}
	for {
		sub, err := s.usable(first.Subscription)
		if err != nil {
			return err
		}
		sent, err := s.send(server, st, first, sub)
		if err != nil {
			return err
		}
		if sent == 0 {
			select {
			case <-ended:
				return nil
			case <-server.Context().Done():
				return nil
			case <-time.After(look):
			}
		}
	}
}

// usable gives a subscription that can be pulled from.
func (s *subscriber) usable(name string) (*pb.Subscription, error) {
	sub, err := s.GServer.GetSubscription(context.Background(), &pb.GetSubscriptionRequest{Subscription: name})
	if err != nil {
		return nil, err
	}
	if sub.PushConfig.GetPushEndpoint() != "" {
		return nil, status.Error(codes.FailedPrecondition, "The subscription is a push subscription.")
	}
	return sub, nil
}

// send sends what there is, as far as the client wants it.
func (s *subscriber) send(
	server pb.Subscriber_StreamingPullServer, st *stream, first *pb.StreamingPullRequest, sub *pb.Subscription,
) (int, error) {
	s.mu.Lock()
	s.expire(first.Subscription)
	room := int64(mostMessages)
	if most := first.MaxOutstandingMessages; most > 0 {
		room = min(room, most-int64(st.messages))
	}
	if most := first.MaxOutstandingBytes; most > 0 && int64(st.bytes) >= most {
		room = 0
	}
	s.mu.Unlock()
	if room <= 0 {
		return 0, nil
	}
	ctx := server.Context()
	pulled, err := s.GServer.Pull(ctx, &pb.PullRequest{
		Subscription: first.Subscription, MaxMessages: int32(room), ReturnImmediately: true,
	})
	if err != nil || len(pulled.ReceivedMessages) == 0 {
		return 0, err
	}
	// The fake changes them when it delivers them again.
	var messages []*pb.ReceivedMessage
	var ids []string
	for _, m := range pulled.ReceivedMessages {
		messages = append(messages, proto.Clone(m).(*pb.ReceivedMessage))
		ids = append(ids, m.AckId)
	}
	seconds := first.StreamAckDeadlineSeconds
	_, _ = s.GServer.ModifyAckDeadline(ctx, &pb.ModifyAckDeadlineRequest{
		Subscription: first.Subscription, AckIds: ids, AckDeadlineSeconds: seconds,
	})
	s.mu.Lock()
	for _, m := range messages {
		s.lend(first.Subscription, m, st, seconds)
	}
	s.mu.Unlock()
	for _, part := range parts(messages) {
		response := &pb.StreamingPullResponse{
			ReceivedMessages: part,
			SubscriptionProperties: &pb.StreamingPullResponse_SubscriptionProperties{
				ExactlyOnceDeliveryEnabled: sub.EnableExactlyOnceDelivery,
				MessageOrderingEnabled:     sub.EnableMessageOrdering,
			},
		}
		if err := server.Send(response); err != nil {
			return 0, err
		}
	}
	return len(messages), nil
}

// parts cuts messages into responses that are not too large.
func parts(messages []*pb.ReceivedMessage) [][]*pb.ReceivedMessage {
	var found [][]*pb.ReceivedMessage
	size := 0
	for i, m := range messages {
		// The first may have no data.
		if size += len(m.Message.Data); i == 0 || size > mostBytes {
			found, size = append(found, nil), len(m.Message.Data)
		}
		found[len(found)-1] = append(found[len(found)-1], m)
	}
	return found
}

func (s *subscriber) lend(sub string, m *pb.ReceivedMessage, st *stream, seconds int32) {
	if s.leases[sub] == nil {
		s.leases[sub] = map[string]*lease{}
	}
	s.end(sub, m.Message.MessageId)
	l := &lease{m.AckId, len(m.Message.Data), st, time.Now().Add(time.Duration(seconds) * time.Second)}
	s.leases[sub][m.Message.MessageId] = l
	st.messages, st.bytes = st.messages+1, st.bytes+l.size
}

func (s *subscriber) end(sub, messageID string) {
	if l := s.leases[sub][messageID]; l != nil {
		l.stream.messages, l.stream.bytes = l.stream.messages-1, l.stream.bytes-l.size
		delete(s.leases[sub], messageID)
	}
}

func (s *subscriber) expire(sub string) {
	now := time.Now()
	for id, l := range s.leases[sub] {
		if now.After(l.deadline) {
			s.end(sub, id)
		}
	}
}

func (s *subscriber) Acknowledge(ctx context.Context, req *pb.AcknowledgeRequest) (*emptypb.Empty, error) {
	good, err := s.good(req.Subscription, req.AckIds)
	s.mu.Lock()
	for _, id := range good {
		s.end(req.Subscription, messageID(id))
	}
	s.mu.Unlock()
	done, failed := s.GServer.Acknowledge(ctx, &pb.AcknowledgeRequest{Subscription: req.Subscription, AckIds: good})
	if failed != nil {
		return done, failed
	}
	return done, err
}

func (s *subscriber) ModifyAckDeadline(
	ctx context.Context, req *pb.ModifyAckDeadlineRequest,
) (*emptypb.Empty, error) {
	good, err := s.good(req.Subscription, req.AckIds)
	done, failed := s.GServer.ModifyAckDeadline(ctx, &pb.ModifyAckDeadlineRequest{
		Subscription: req.Subscription, AckIds: good, AckDeadlineSeconds: req.AckDeadlineSeconds,
	})
	if failed != nil {
		return done, failed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range good {
		l := s.leases[req.Subscription][messageID(id)]
		if l != nil && l.ackID == id {
			l.deadline = time.Now().Add(time.Duration(req.AckDeadlineSeconds) * time.Second)
			if req.AckDeadlineSeconds == 0 {
				s.end(req.Subscription, messageID(id))
			}
		}
	}
	return done, err
}

// good gives the ack ids that the subscription takes, and what it says of the others: nothing, unless
// it delivers exactly once.
func (s *subscriber) good(sub string, ids []string) ([]string, error) {
	found, err := s.usable(sub)
	if err != nil || !found.EnableExactlyOnceDelivery {
		return ids, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(sub)
	var good []string
	bad := map[string]string{}
	for _, id := range ids {
		if l := s.leases[sub][messageID(id)]; l != nil && l.ackID == id {
			good = append(good, id)
		} else {
			bad[id] = "PERMANENT_FAILURE_INVALID_ACK_ID"
		}
	}
	if len(bad) == 0 {
		return good, nil
	}
	said, _ := status.New(codes.FailedPrecondition, "Some acknowledgement ids in the request were invalid.").
		WithDetails(&errdetails.ErrorInfo{
			Reason: "EXACTLY_ONCE_ACKID_FAILURE", Domain: "pubsub.googleapis.com", Metadata: bad,
		})
	return good, said.Err()
}

// messageID is that of an ack id of the fake.
func messageID(ackID string) string {
	for i := len(ackID) - 1; i >= 0; i-- {
		if ackID[i] == ':' {
			return ackID[:i]
		}
	}
	return ackID
}
