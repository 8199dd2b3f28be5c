// A fake Pub/Sub on 127.0.0.1: Google's own, of its Go client's tests, all in memory.
//
// It says where it listens on its first line, and ends when its stdin is closed.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
)

// The largest request that the service takes is 10 MB; leave it to us to say so.
const maxRequest = 32 << 20

func main() {
	port := flag.Int("port", 0, "to listen on, on 127.0.0.1; 0 takes a free one")
	deadline := flag.Duration("min-ack-deadline", 10*time.Second, "the least deadline it grants")
	flag.Parse()
	pstest.SetMinAckDeadline(*deadline)
	fake := pstest.NewServerWithAddress("127.0.0.1:0")

	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxRequest), grpc.MaxSendMsgSize(maxRequest))
	pb.RegisterPublisherServer(server, publisher{&fake.GServer})
	pb.RegisterSubscriberServer(server, newSubscriber(&fake.GServer))
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Fatal(err)
		}
	}()
	fmt.Println(listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	server.Stop()
}
