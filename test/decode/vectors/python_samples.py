"""Writes the binary files of devices/samples/, by other people's encoders.

  pip install cbor2 grpcio-tools
  python test/decode/vectors/python_samples.py
"""

import importlib
import os
import sys
import tempfile

import cbor2
from grpc_tools import protoc

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
SAMPLES = os.path.join(ROOT, "devices/samples")
folder = tempfile.TemporaryDirectory()
for name in ["sparkplug_b.proto", "devices/env_sensor.proto", "devices/energy_meter.proto"]:
    protoc.main(["", f"-I{ROOT}/proto", f"--python_out={folder.name}", name])
sys.path.insert(0, folder.name)
NOW = 1767225600000


def write(name, payload):
    with open(os.path.join(SAMPLES, name), "wb") as file:
        file.write(payload)


sensor = importlib.import_module("devices.env_sensor_pb2")
write("env-sensor.bin", sensor.EnvSensor(ts=NOW, seq=41, temp=21.5, hum=40.5, pressure=1013.25, battery=3.5).SerializeToString())

meter = importlib.import_module("devices.energy_meter_pb2")
reading = meter.Reading(read_at=NOW // 1000, number=7)
reading.register.imported_wh = 2**53 + 1
reading.line.voltage = 230.5
write("energy-meter.bin", reading.SerializeToString())

write("soil-probe.cbor", cbor2.dumps({0: NOW // 1000, 1: 23.5, 2: 31, 3: 3012}))

plant = importlib.import_module("sparkplug_b_pb2")
birth = plant.Payload(timestamp=NOW, seq=0)
birth.metrics.add(name="bdSeq", datatype=4).long_value = 7
birth.metrics.add(name="Process/Temperature", alias=1, datatype=2).int_value = 2**32 - 4
birth.metrics.add(name="Process/Pressure", alias=2, datatype=10).double_value = 3.5
birth.metrics.add(name="Motor/Running", alias=3, datatype=11).boolean_value = True
write("sparkplug.bin", birth.SerializeToString())
