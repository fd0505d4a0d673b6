package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"gobridge/fieldsensor"
	telemetry "gobridge/telemetry"
)

// normalise puts the envelope in place of the payload, and the event time in place of the time of receipt.
func normalise(record *kgo.Record, site, device string) error {
	var reading fieldsensor.FieldSensor
	if err := proto.Unmarshal(record.Value, &reading); err != nil {
		return fmt.Errorf("%s sent what is no FieldSensor: %w", device, err)
	}
	sequence := uint64(reading.GetSeq())
	envelope := &telemetry.Telemetry{
		DeviceId:     device,
		DeviceType:   "field-sensor",
		Attributes:   map[string]string{"site": site},
		ObservedAtMs: &reading.Ts,
		ReceivedAtMs: time.Now().UnixMilli(),
		Sequence:     &sequence,
		Metrics:      make([]*telemetry.Metric, 0, 7),
	}
	add := func(name, unit string, value float64) {
		envelope.Metrics = append(envelope.Metrics, &telemetry.Metric{
			Name: name, Unit: unit, Value: &telemetry.Metric_DoubleValue{DoubleValue: value},
		})
	}
	if reading.Temp != nil {
		add("temperature", "Cel", float64(*reading.Temp))
	}
	if reading.Hum != nil {
		add("humidity", "%", float64(*reading.Hum))
	}
	if reading.Pressure != nil {
		add("pressure", "hPa", float64(*reading.Pressure))
	}
	if reading.Battery != nil {
		add("battery", "V", float64(*reading.Battery))
	}
	if reading.Lat != nil {
		add("latitude", "deg", *reading.Lat)
	}
	if reading.Lon != nil {
		add("longitude", "deg", *reading.Lon)
	}
	if reading.Rssi != nil {
		envelope.Metrics = append(envelope.Metrics, &telemetry.Metric{
			Name: "signal", Unit: "dB", Value: &telemetry.Metric_IntValue{IntValue: int64(*reading.Rssi)},
		})
	}
	value, err := proto.Marshal(envelope)
	if err != nil {
		return err
	}
	record.Value = value
	record.Timestamp = time.UnixMilli(reading.GetTs())
	return nil
}
