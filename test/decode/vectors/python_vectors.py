"""Prints vectors.json: payloads written by other people's encoders, and what their fields hold.

  pip install cbor2 msgpack fastavro grpcio-tools thrift
  python test/decode/vectors/python_vectors.py > test/decode/vectors/vectors.json

A field's value is as JSON says it; {"int": "..."} is an exact integer, {"hex": "..."} are bytes, null is absent.
"""

import datetime
import gzip
import importlib
import io
import json
import os
import random
import struct
import sys
import tempfile
import zlib

import cbor2
import fastavro
import grpc_tools
import msgpack
from grpc_tools import protoc
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

HERE = os.path.dirname(os.path.abspath(__file__))
rng = random.Random(6)
TEXTS = ["", "a", "Grüße", "日本", "x" * 300]
INTS = [0, 1, -1, 23, 24, -25, 255, 256, -257, 65535, 65536, 2**31, -(2**31), 2**53 - 1, -(2**53) + 1]
BIG = [2**53, 2**63 - 1, -(2**63), 2**64 - 1]
vectors = []


def expected(value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return value


def vector(format, payload, fields, **more):
    vectors.append({"format": format, "payload": payload.hex(), "fields": fields, **more})


def reading(i):
    return {
        "device": rng.choice(TEXTS[1:]),
        "temp": rng.uniform(-50, 150),
        "n": INTS[i % len(INTS)],
        "on": rng.random() < 0.5,
        "none": None,
        "raw": rng.randbytes(rng.choice([0, 1, 40])),
        "pos": {"lat": rng.uniform(-90, 90), "fix": [1, rng.randrange(20)]},
    }


def paths(r):
    return {
        "device": r["device"],
        "temp": r["temp"],
        "n": r["n"],
        "on": r["on"],
        "none": None,
        "raw": expected(r["raw"]),
        "pos.lat": r["pos"]["lat"],
        "pos.fix[1]": r["pos"]["fix"][1],
    }


for i in range(20):
    r = reading(i)
    vector("cbor", cbor2.dumps(r), paths(r))
    vector("msgpack", msgpack.packb(r), paths(r))
for big in BIG:
    exact = {"n": {"int": str(big)}}
    vector("cbor", cbor2.dumps({"n": big}), exact)
    vector("msgpack", msgpack.packb({"n": big}), exact)
# Integer keys, half floats, tagged times, indefinite lengths, decimal fractions, bignums.
vector("cbor", cbor2.dumps({1: 21.5, -2: 7, "t": 1}, canonical=True), {"1": 21.5, "-2": 7, "t": 1})
when = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
vector("cbor", cbor2.dumps({"t": when}), {"t": "2026-01-01T12:00:00Z"})
vector("cbor", cbor2.dumps({"t": when}, datetime_as_timestamp=True), {"t": 1767268800})
vector("cbor", cbor2.dumps({"v": cbor2.CBORTag(4, [-2, 2150])}), {"v": 21.5})
vector("cbor", bytes.fromhex("bf6161f94d6061629f0102ffff"), {"a": 21.5, "b[1]": 2})
vector("cbor", cbor2.dumps({"v": cbor2.CBORTag(2, (2**53 + 1).to_bytes(7, "big"))}), {"v": {"int": str(2**53 + 1)}})
vector("msgpack", msgpack.packb({1: 2.5, "t": when}, datetime=True), {"1": 2.5, "t": when.timestamp() * 1000})
vector("msgpack", msgpack.packb({"f": 1.5}, use_single_float=True), {"f": 1.5})

schema = fastavro.parse_schema(json.load(open(os.path.join(HERE, "reading.avsc"))))
for i in range(12):
    r = {
        "device": rng.choice(TEXTS),
        "count": (INTS + BIG[:3])[(i * 2) % (len(INTS) + 3)],
        "level": rng.randrange(-(2**31), 2**31),
        "temp": rng.uniform(-50, 50),
        "ratio": rng.choice([None, 0.5]),
        "on": rng.random() < 0.5,
        "state": rng.choice(["IDLE", "BUSY"]),
        "raw": rng.randbytes(i),
        "tags": {"a.b": i, "c": -i},
        "samples": [float(k) for k in range(i)],
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, r)
    fields = {k: r[k] for k in ["device", "temp", "ratio", "on", "state"]}
    fields |= {"count": {"int": str(r["count"])}, "level": {"int": str(r["level"])}, "raw": expected(r["raw"])}
    fields |= {'tags["a.b"]': {"int": str(i)}, "samples[1]": 1.0 if i > 1 else None}
    vector("avro", out.getvalue(), fields)
    vector("avro", b"\0" + struct.pack(">i", 1000 + i) + out.getvalue(), fields, wrap={"framing": "confluent"}, schemaId=1000 + i)


class Struct:
    """A Thrift struct by its field spec; written by Thrift's own generic writer."""

    def __init__(self, spec, values):
        self.spec, self.values = spec, values

    def write(self, out):
        out.writeStructBegin("S")
        for fid, (ttype, value) in enumerate(zip(self.spec, self.values), 1):
            out.writeFieldBegin("f", ttype, fid)
            write_value(out, ttype, value)
            out.writeFieldEnd()
        out.writeFieldStop()
        out.writeStructEnd()


def write_value(out, ttype, value):
    if ttype == TType.STRUCT:
        value.write(out)
    elif ttype == TType.LIST:
        element, items = value
        out.writeListBegin(element, len(items))
        for item in items:
            write_value(out, element, item)
        out.writeListEnd()
    elif ttype == TType.MAP:
        out.writeMapBegin(TType.STRING, TType.I64, len(value))
        for k, v in value.items():
            out.writeString(k)
            out.writeI64(v)
        out.writeMapEnd()
    else:
        {
            TType.BOOL: out.writeBool,
            TType.BYTE: out.writeByte,
            TType.I16: out.writeI16,
            TType.I32: out.writeI32,
            TType.I64: out.writeI64,
            TType.DOUBLE: out.writeDouble,
            TType.STRING: lambda v: out.writeBinary(v) if isinstance(v, bytes) else out.writeString(v),
        }[ttype](value)


SPEC = [TType.BOOL, TType.BYTE, TType.I16, TType.I32, TType.I64, TType.DOUBLE, TType.STRING, TType.STRING,
        TType.STRUCT, TType.LIST, TType.MAP]
for i in range(10):
    inner = Struct([TType.I32, TType.DOUBLE], [rng.randrange(-(2**31), 2**31), rng.uniform(-1, 1)])
    long = (INTS + BIG[:3])[(i * 2) % (len(INTS) + 3)]
    values = [i % 2 == 0, -i, -300 * i, rng.randrange(-(2**31), 2**31), long, rng.uniform(-9, 9), rng.choice(TEXTS),
              b"\xff" + rng.randbytes(i), inner, (TType.BOOL, [True, False, i % 2 == 0]), {"k": i}]
    fields = {str(n): v for n, v in zip([1, 2, 3, 4, 6, 7], values[:4] + values[5:7])}
    fields["5"] = long if abs(long) < 2**53 else {"int": str(long)}
    fields |= {"8": expected(values[7]), "9.1": inner.values[0], "9.2": inner.values[1]}
    fields |= {"10[0]": True, "10[1]": False, "10[2]": i % 2 == 0, "11.k": i, "12": None}
    for name, protocol in [("thrift-binary", TBinaryProtocol), ("thrift-compact", TCompactProtocol)]:
        transport = TMemoryBuffer()
        Struct(SPEC, values).write(protocol(transport))
        vector(name, transport.getvalue(), fields)

with tempfile.TemporaryDirectory() as folder:
    include = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
    descriptor = os.path.join(HERE, "readings.descriptor")
    protoc.main(["", f"-I{HERE}", f"-I{include}", f"--python_out={folder}", "--include_imports",
                 f"--descriptor_set_out={descriptor}", "readings.proto"])
    sys.path.insert(0, folder)
    pb = importlib.import_module("readings_pb2")
    for i in range(8):
        batch = pb.Batch(device=f"d{i}")
        rows = []
        for k in range(i % 4):
            r = pb.Reading(temp=rng.uniform(-9, 9), count=(INTS + BIG[:3])[(i + k) % 18], state=k % 2,
                           samples=[0.5, 1.5 + k], tags={"a": k, "b.c": -k})
            r.at.FromMilliseconds(1767225600000 + k)
            if k % 2:
                r.note = "n"
            batch.readings.append(r)
            row = {"device": f"d{i}", "readings[].at": 1767225600000 + k, "readings[].temp": r.temp,
                   "readings[].count": {"int": str(r.count)}, "readings[].state": pb.State.Name(r.state),
                   "readings[].samples[1]": 1.5 + k, "readings[].tags.a": {"int": str(k)},
                   'readings[].tags["b.c"]': {"int": str(-k)}, "readings[].note": "n" if k % 2 else None}
            rows.append(row)
        vector("protobuf-batch", batch.SerializeToString(), rows)
        framed = b"\0" + struct.pack(">i", 7) + b"\x02\x02" + batch.SerializeToString()
        vector("protobuf-batch", framed, rows, wrap={"framing": "confluent"}, schemaId=7)
        stream = b"".join(bytes([len(r.SerializeToString())]) + r.SerializeToString() for r in batch.readings)
        if stream:
            rows = [{k.removeprefix("readings[]."): v for k, v in row.items() if k != "device"} for row in rows]
            vector("protobuf-delimited", stream, rows)

plain = json.dumps({"temp": 21.5, "name": "Grüße"}).encode()
fields = {"temp": 21.5, "name": "Grüße"}
raw = zlib.compressobj(wbits=-15)
for name, packed in [("gzip", gzip.compress(plain, mtime=0)), ("zlib", zlib.compress(plain)),
                     ("deflate", raw.compress(plain) + raw.flush())]:
    vector("json", packed, fields, wrap={"compression": name})
    if name != "deflate":
        vector("json", packed, fields, wrap={"compression": "auto"})
vector("json", plain, fields, wrap={"compression": "auto"})
# A zstd frame with one raw block, by RFC 8878: Python has had zstd only since 3.14.
vector("json", bytes.fromhex("28b52ffd20") + bytes([len(plain)]) + struct.pack("<I", len(plain) << 3 | 1)[:3] + plain,
       fields, wrap={"compression": "zstd"})

lines = ",\n ".join(json.dumps(v, ensure_ascii=False) for v in vectors)
print("[\n " + lines + "\n]")
