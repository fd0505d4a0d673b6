"""Prints vectors.json: a conversation in Sparkplug B, its payloads written by Python's protobuf from the project's own
sparkplug_b.proto, with the integers in two's complement as Eclipse Tahu's helpers write them (sparkplug_b.py: a
negative Int8, Int16 or Int32 as + 2**32 in int_value, an Int64 as + 2**64 in long_value).

  pip install grpcio-tools
  python test/decode/sparkplug/python_vectors.py > test/decode/sparkplug/vectors.json
"""

import importlib
import json
import os
import sys
import tempfile

from grpc_tools import protoc

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "../../../proto")
folder = tempfile.TemporaryDirectory()
protoc.main(["", f"-I{PROTO}", f"--python_out={folder.name}", "sparkplug_b.proto"])
sys.path.insert(0, folder.name)
pb = importlib.import_module("sparkplug_b_pb2")

NOW = 1767225600000
TYPES = {"Int8": 1, "Int16": 2, "Int32": 3, "Int64": 4, "UInt8": 5, "UInt16": 6, "UInt32": 7, "UInt64": 8,
         "Float": 9, "Double": 10, "Boolean": 11, "String": 12, "DateTime": 13, "Text": 14, "UUID": 15, "Bytes": 17}
VALUES = [("Int8", -1), ("Int8", 127), ("Int16", -32768), ("Int32", -2), ("Int64", -(2**63)), ("Int64", 2**53 + 1),
          ("UInt8", 255), ("UInt16", 65535), ("UInt32", 2**32 - 1), ("UInt64", 2**64 - 1), ("Float", 0.5),
          ("Double", 21.7), ("Boolean", True), ("String", "läuft"), ("DateTime", NOW), ("Text", ""),
          ("UUID", "5a2f"), ("Bytes", b"\x00\xff")]
messages = []


def put(metric, kind, value, datatype=True):
    if datatype:
        metric.datatype = TYPES[kind]
    if value is None:
        metric.is_null = True
    elif kind in ("Int8", "Int16", "Int32", "UInt8", "UInt16", "UInt32"):
        metric.int_value = value + 2**32 if value < 0 else value
    elif kind in ("Int64", "UInt64", "DateTime"):
        metric.long_value = value + 2**64 if value < 0 else value
    elif kind == "Bytes":
        metric.bytes_value = value
    else:
        field = {"Float": "float_value", "Double": "double_value", "Boolean": "boolean_value"}.get(kind, "string_value")
        setattr(metric, field, value)


def expected(kind, value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, int) and not isinstance(value, bool) and kind not in ("Float", "Double"):
        return {"int": str(value)}
    return value


def send(topic, payload, fields):
    messages.append({"topic": topic, "payload": payload.SerializeToString().hex(), "fields": fields})


def payload(seq, bd_seq=None):
    p = pb.Payload(timestamp=NOW + (seq or 0))
    if seq is not None:
        p.seq = seq
    if bd_seq is not None:
        metric = p.metrics.add(name="bdSeq", datatype=TYPES["Int64"])
        metric.long_value = bd_seq
    return p


def own(source, kind, seq=None, **more):
    return {"$source": source, "$message": kind, "$timestamp": {"int": str(NOW + (seq or 0))},
            **({} if seq is None else {"$seq": {"int": str(seq)}}), **more}


birth = payload(0, 7)
fields = own("n1", "NBIRTH", 0, **{"$online": True, "$bdSeq": {"int": "7"}})
for i, (kind, value) in enumerate(VALUES):
    put(birth.metrics.add(name=f"m{i}/{kind}", alias=i), kind, value)
    fields[f"m{i}/{kind}"] = expected(kind, value)
send("spBv1.0/g/NBIRTH/n1", birth, fields)

data = payload(1)
fields = own("n1", "NDATA", 1)
for i, (kind, value) in enumerate(VALUES):
    metric = data.metrics.add(alias=i)
    put(metric, kind, value, datatype=False)
    fields[f"m{i}/{kind}"] = expected(kind, value)
send("spBv1.0/g/NDATA/n1", data, fields)

born = payload(2)
metric = born.metrics.add(name="table", alias=100, datatype=16)
metric.dataset_value.num_of_columns = 2
metric.dataset_value.columns.extend(["a", "b"])
metric.dataset_value.types.extend([3, 12])
row = metric.dataset_value.rows.add()
row.elements.add().int_value = 5
row.elements.add().string_value = "x"
metric = born.metrics.add(name="motor", alias=101, datatype=19)
metric.template_value.template_ref = "Motor"
inner = metric.template_value.metrics.add(name="rpm", datatype=3)
inner.int_value = 900
metric = born.metrics.add(name="list", alias=102, datatype=24)
metric.bytes_value = bytes.fromhex("0500000006000000")
put(born.metrics.add(name="temp", alias=103), "Int16", -40)
table = '{"num_of_columns":2,"columns":["a","b"],"types":[3,12],"rows":[{"elements":[{"int_value":5},{"string_value":"x"}]}]}'
motor = '{"metrics":[{"name":"rpm","datatype":3,"int_value":900}],"template_ref":"Motor"}'
send("spBv1.0/g/DBIRTH/n1/d1", born, own("n1/d1", "DBIRTH", 2, **{
    "$online": True, "table": table, "motor": motor, "list": {"hex": "0500000006000000"}, "temp": {"int": "-40"}}))

data = payload(3)
put(data.metrics.add(alias=103), "Int16", -41, datatype=False)
put(data.metrics.add(alias=100), "String", None, datatype=False)
send("spBv1.0/g/DDATA/n1/d1", data, own("n1/d1", "DDATA", 3, temp={"int": "-41"}, table=None))
send("spBv1.0/g/DDEATH/n1/d1", payload(4), own("n1/d1", "DDEATH", 4, **{"$online": False}))
death = payload(None, 7)
send("spBv1.0/g/NDEATH/n1", death, own("n1", "NDEATH", None, **{"$online": False, "$bdSeq": {"int": "7"}}))

print("[\n " + ",\n ".join(json.dumps(m, ensure_ascii=False) for m in messages) + "\n]")
