"""Prints the test vectors of python-vectors.json, all by other people's implementations: fastavro, protobuf and
thrift (Apache's and thriftpy2, which must agree), and Confluent's own serializers for the wire format.

  pip install fastavro protobuf grpcio-tools thrift thriftpy2 'confluent-kafka[avro,json,protobuf,schemaregistry]'
  python test/producer/serializers/vectors/python_vectors.py > test/producer/serializers/vectors/python-vectors.json

Each vector: data as JSON (bytes as hex, 64-bit integers as text) and their bytes as hex.
"""

import importlib
import io
import json
import os
import random
import sys
import tempfile

import fastavro
import grpc_tools
import thriftpy2
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import json_format
from grpc_tools import protoc
from thrift.protocol.TBase import TBase
from thrift.protocol.TBinaryProtocol import TBinaryProtocolFactory
from thrift.protocol.TCompactProtocol import TCompactProtocolFactory
from thrift.Thrift import TType
from thrift.TSerialization import serialize
from thriftpy2.protocol.binary import TBinaryProtocolFactory as PyBinaryFactory
from thriftpy2.protocol.compact import TCompactProtocolFactory as PyCompactFactory
from thriftpy2.utils import serialize as py_serialize

PROTOS = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = ["", "a", "device-1", "Grüße", "日本", "😀", "x" * 130]
LONGS = [0, 1, -1, 63, 64, -64, -65, 2**31, -(2**31), 2**53 - 1, -(2**53) + 1, 2**53, 2**63 - 1, -(2**63)]
rng = random.Random(11)


def text():
    return rng.choice(TEXTS)


def long(i):
    return LONGS[i] if i < len(LONGS) else rng.randrange(-(2**63), 2**63)


def i32():
    return rng.choice([0, 1, -1, 127, 128, -129, 2**31 - 1, -(2**31), rng.randrange(-(2**31), 2**31)])


def raw():
    return rng.randbytes(rng.choice([0, 1, 5, 130]))


def double():
    return rng.choice([0.0, -1.5, 21.25, 1e300, 5e-324, rng.gauss(0, 1000)])


def float32():
    """Short in decimal too, because Protobuf's JSON rounds to that."""
    return -70 + rng.randrange(-200, 200) / 4


def sensor(i):
    """Maps and sets have at most one entry: their order is nobody's promise."""
    return {
        "device": text(),
        "ts": long(i),
        "seq": i32(),
        "rssi": float32(),
        "temperature": double(),
        "charging": rng.random() < 0.5,
        "raw": raw(),
        "status": rng.choice(["UNKNOWN", "OK", "FAULT"]),
        "note": rng.choice([None, text()]),
        "readings": [{"name": text(), "value": double()} for _ in range(rng.choice([0, 1, 2, 16]))],
        "counters": {text(): i32()} if rng.random() < 0.5 else {},
    }


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {k: str(v) if k in ("ts", "serial") else plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def value_context(topic="t"):
    return SerializationContext(topic, MessageField.VALUE)


def registry(next_id):
    client = SchemaRegistryClient.new_client({"url": "mock://"})
    client._store.max_id = next_id - 1
    return client


BY_TOPIC = {"subject.name.strategy": topic_subject_name_strategy}


def avro():
    source = open(os.path.join(HERE, "sensor.avsc")).read()
    schema = fastavro.parse_schema(json.loads(source))
    for i in range(25):
        data = sensor(i) | {"mac": rng.randbytes(6)}
        if i % 3 == 0:
            data["readings"].append({"name": "none", "value": None})
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, data)
        schema_id = rng.choice([1, 255, 256, 70000, 2**31 - 1])
        framed = AvroSerializer(registry(schema_id), source, conf=BY_TOPIC)(data, value_context())
        yield {"data": plain(data), "hex": out.getvalue().hex(), "id": schema_id, "framed": framed.hex()}


def protobuf():
    with tempfile.TemporaryDirectory() as folder:
        if protoc.main(["protoc", f"-I{HERE}", f"-I{PROTOS}", f"--python_out={folder}", "sensor.proto"]) != 0:
            sys.exit("protoc failed")
        sys.path.insert(0, folder)
        messages = importlib.import_module("sensor_pb2")
    for i in range(25):
        data = sensor(i)
        message = messages.Sensor(
            device=data["device"], ts=data["ts"], seq=data["seq"] & 0xFFFFFFFF, rssi=data["rssi"],
            charging=data["charging"], raw=data["raw"], status=data["status"], note=data["note"],
            counters=data["counters"], deltas=[i32() for _ in range(rng.choice([0, 3]))],
            serial=data["ts"] & (2**64 - 1),
        )
        for reading in data["readings"]:
            message.readings.add(**reading)
        yield protobuf_vector("fleet.test.Sensor", message)
    yield protobuf_vector("fleet.test.Alarm", messages.Alarm(message="hot", code=7))
    yield protobuf_vector("fleet.test.Alarm", messages.Alarm(text="wet"))
    yield protobuf_vector("fleet.test.Sensor.Reading", messages.Sensor.Reading(name="t", value=-1.5))
    yield protobuf_vector("fleet.test.Sensor.Reading.Limits", messages.Sensor.Reading.Limits(low=-1, high=1))


def protobuf_vector(name, message):
    schema_id = rng.choice([1, 255, 256, 70000, 2**31 - 1])
    serializer = ProtobufSerializer(type(message), registry(schema_id), conf=BY_TOPIC)
    return {
        "message": name,
        # Protobuf's JSON: 64-bit integers as text, bytes in base64, enums by name.
        "data": json_format.MessageToDict(message, preserving_proto_field_name=True),
        "hex": message.SerializeToString(deterministic=True).hex(),
        "id": schema_id,
        "framed": serializer(message, value_context()).hex(),
    }


def json_schema():
    source = open(os.path.join(HERE, "sensor.schema.json")).read()
    for i in range(10):
        data = {"device": text(), "seq": i32()}
        schema_id = rng.choice([1, 255, 256, 70000, 2**31 - 1])
        framed = JSONSerializer(
            source, registry(schema_id), conf=BY_TOPIC,
            json_encode=lambda it: json.dumps(it, separators=(",", ":"), ensure_ascii=False),
        )(data, value_context())
        yield {"data": data, "id": schema_id, "framed": framed.hex()}


class Reading(TBase):
    thrift_spec = (
        None,
        (1, TType.STRING, "name", "UTF8", None),
        (2, TType.DOUBLE, "value", None, None),
    )

    def __init__(self, name, value):
        self.name, self.value = name, value


def sensor_spec():
    fields = {
        1: (TType.STRING, "device", "UTF8"), 2: (TType.I64, "ts", None), 3: (TType.I32, "seq", None),
        4: (TType.I16, "rssi", None), 5: (TType.BYTE, "channel", None), 6: (TType.DOUBLE, "temperature", None),
        7: (TType.BOOL, "charging", None), 8: (TType.BOOL, "muted", None), 20: (TType.STRING, "raw", "BINARY"),
        21: (TType.I32, "status", None),
        22: (TType.LIST, "readings", (TType.STRUCT, [Reading, Reading.thrift_spec], False)),
        23: (TType.MAP, "counters", (TType.STRING, "UTF8", TType.I32, None, False)),
        24: (TType.SET, "ports", (TType.I32, None, False)), 25: (TType.STRING, "note", "UTF8"),
        500: (TType.LIST, "flags", (TType.BOOL, None, False)),
    }
    return tuple((i, *fields[i], None) if i in fields else None for i in range(501))


class Sensor(TBase):
    thrift_spec = sensor_spec()

    def __init__(self, **values):
        for _, _, name, _, _ in filter(None, self.thrift_spec):
            setattr(self, name, values.get(name))


def thrift():
    idl = thriftpy2.load(os.path.join(HERE, "sensor.thrift"), module_name="sensor_thrift")
    for i in range(25):
        data = sensor(i) | {
            "rssi": rng.choice([0, -1, -32768, 32767]), "channel": rng.choice([0, 1, -1, -128, 127]),
            "muted": rng.random() < 0.5, "ports": [i32()] if rng.random() < 0.5 else [],
            "status": rng.choice([0, 1, 2]), "flags": [rng.random() < 0.5 for _ in range(rng.choice([0, 3, 20]))],
        }
        struct_ = Sensor(**data | {"readings": [Reading(**it) for it in data["readings"]], "ports": set(data["ports"])})
        other = idl.Sensor(
            **data | {"readings": [idl.Reading(**it) for it in data["readings"]], "ports": set(data["ports"])})
        binary = serialize(struct_, TBinaryProtocolFactory())
        compact = serialize(struct_, TCompactProtocolFactory())
        assert py_serialize(other, PyBinaryFactory()) == binary
        assert py_serialize(other, PyCompactFactory()) == compact, (i, data, compact.hex(), py_serialize(other, PyCompactFactory()).hex())
        yield {"data": plain(data), "binary": binary.hex(), "compact": compact.hex()}


vectors = {"avro": avro(), "protobuf": protobuf(), "json": json_schema(), "thrift": thrift()}
sections = [
    f'"{name}": [\n' + ",\n".join(json.dumps(it, ensure_ascii=False) for it in section) + "\n]"
    for name, section in vectors.items()
]
print("{" + ",\n".join(sections) + "}")
