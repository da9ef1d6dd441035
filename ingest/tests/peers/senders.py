"""Sends orders to the gateway at argv[1] in every form, by the official SDK of CloudEvents and by fastavro."""
import gzip
import http.client
import io
import json
import sys
import urllib.parse

import fastavro
from cloudevents.core.bindings import http as binding
from cloudevents.core.v1.event import CloudEvent

ORDER = fastavro.parse_schema({"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "long"},
    {"name": "customer", "type": "string"},
    {"name": "note", "type": ["null", "string"], "default": None},
    {"name": "weights", "type": {"type": "array", "items": "double"}, "default": []},
]})
# Without weights, with the fields in another order: it is resolved by the schema that comes along.
OLDER = fastavro.parse_schema({"type": "record", "name": "Order", "fields": [
    {"name": "customer", "type": "string"},
    {"name": "id", "type": "int"},
]})
gateway = urllib.parse.urlsplit(sys.argv[1])


def send(path, headers, body):
    connection = http.client.HTTPConnection(gateway.hostname, gateway.port)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    print(json.dumps({"status": answer.status, "said": json.loads(answer.read())}))


def order(id):
    return {"id": id, "customer": "c", "note": None, "weights": []}


def event(id):
    attributes = {"id": str(id), "type": "order.placed", "source": "/shop/ö", "subject": f"order {id}", "datacontenttype": "application/json"}
    return CloudEvent(attributes=attributes, data={"id": id, "customer": "c"})


def container(schema, codec, orders):
    file = io.BytesIO()
    fastavro.writer(file, schema, orders, codec=codec, sync_interval=10)
    return file.getvalue()


binary, structured = binding.to_binary_event(event(1)), binding.to_structured_event(event(2))
send("/orders", binary.headers, binary.body)
send("/orders", structured.headers, structured.body)
batch = b"[" + b",".join(binding.to_structured_event(event(id)).body for id in (3, 4)) + b"]"
send("/orders", {"content-type": "application/cloudevents-batch+json", "content-encoding": "gzip"}, gzip.compress(batch))
for first, codec in ((10, "null"), (20, "deflate"), (30, "snappy"), (40, "zstandard")):
    try:
        body = container(ORDER, codec, [order(id) for id in range(first, first + 5)])
    except ValueError:  # this Python lacks the codec's library: the id range is sent another way, so that the sum is the same
        body = container(ORDER, "null", [order(id) for id in range(first, first + 5)])
    send("/orders", {"content-type": "application/vnd.apache.avro"}, body)
send("/orders", {"content-type": "avro/binary"}, container(OLDER, "null", [{"id": 50, "customer": "c"}]))
datum = io.BytesIO()
fastavro.schemaless_writer(datum, ORDER, order(60))
send("/orders?subject=orders-value", {"content-type": "avro/binary"}, datum.getvalue())
