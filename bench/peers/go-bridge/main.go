// A bridge as a Go engineer would write it: mochi-mqtt in front, franz-go behind, and the PUBACK in franz-go's
// promise, so that a device is acknowledged when Kafka has its message.
//
// PEER_VALUE=raw passes payloads on as they are; normalised decodes them and writes the same envelope as Sluice, by
// code that protoc-gen-go generated. PEER_BROKERS, PEER_TOPIC, PEER_LINGER_MS, PEER_BATCH_BYTES, PEER_TLS_CERT and
// PEER_TLS_KEY configure it. It prints its port when it is ready and ends with SIGTERM.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	lingerMs, err := strconv.Atoi(os.Getenv("PEER_LINGER_MS"))
	exitOn(err)
	batchBytes, err := strconv.Atoi(os.Getenv("PEER_BATCH_BYTES"))
	exitOn(err)
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("PEER_BROKERS"), ",")...),
		kgo.DefaultProduceTopic(os.Getenv("PEER_TOPIC")),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(time.Duration(lingerMs)*time.Millisecond),
		kgo.ProducerBatchMaxBytes(int32(batchBytes)),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		// The default of 10,000 is what 100 devices with 100 messages each have in flight: Produce would block.
		kgo.MaxBufferedRecords(500_000),
	)
	exitOn(err)

	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	exitOn(server.AddHook(&bridge{kafka: client, normalise: os.Getenv("PEER_VALUE") == "normalised"}, nil))
	listener := listen()
	exitOn(server.AddListener(listeners.NewNet("mqtt", listener)))
	exitOn(server.Serve())
	fmt.Printf("listening on %d\n", listener.Addr().(*net.TCPAddr).Port)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	_ = server.Close()
	_ = client.Flush(context.Background())
	client.Close()
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	exitOn(err)
	if os.Getenv("PEER_TLS_CERT") == "" {
		return listener
	}
	certificate, err := tls.LoadX509KeyPair(os.Getenv("PEER_TLS_CERT"), os.Getenv("PEER_TLS_KEY"))
	exitOn(err)
	return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
}

type bridge struct {
	mqtt.HookBase
	kafka     *kgo.Client
	normalise bool
}

func (*bridge) ID() string { return "kafka" }

func (*bridge) Provides(event byte) bool {
	return bytes.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish}, []byte{event})
}

func (*bridge) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

func (*bridge) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// OnPublish keeps the server from acknowledging: ErrRejectPacket means that the packet has been dealt with.
func (b *bridge) OnPublish(client *mqtt.Client, packet packets.Packet) (packets.Packet, error) {
	_, rest, _ := strings.Cut(packet.TopicName, "/")
	site, rest, _ := strings.Cut(rest, "/")
	device, _, _ := strings.Cut(rest, "/")
	record := &kgo.Record{Key: []byte(device), Value: packet.Payload}
	if b.normalise {
		if err := normalise(record, site, device); err != nil {
			log.Print(err)
			return packet, packets.ErrRejectPacket
		}
	}
	id, qos := packet.PacketID, packet.FixedHeader.Qos
	b.kafka.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
		if err != nil {
			log.Print(err)
			return
		}
		if qos == 1 {
			_ = client.WritePacket(packets.Packet{
				FixedHeader: packets.FixedHeader{Type: packets.Puback},
				PacketID:    id,
			})
		}
	})
	return packet, packets.ErrRejectPacket
}

func exitOn(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
