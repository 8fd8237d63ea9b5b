"""The Storage Read API over a FakeBigQuery: gRPC, read sessions with several streams, Arrow batches."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import polars as pl
from google.cloud.bigquery_storage_v1 import types

from tests.fakes.bigquery import FakeBigQuery
from tests.fakes.http import Refused

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
ROWS_A_MESSAGE = 400
END_OF_STREAM = 8  # bytes


class _Reads:
    def __init__(self, warehouse: FakeBigQuery) -> None:
        self.warehouse = warehouse
        self.streams: dict[str, pl.DataFrame] = {}
        self.numbers = itertools.count()  # of sessions: several clients ask at once

    def create(self, request: types.CreateReadSessionRequest, context: grpc.ServicerContext) -> types.ReadSession:
        asked = request.read_session
        options = asked.read_options
        try:
            frame = self.warehouse.session(asked.table, list(options.selected_fields), options.row_restriction)
        except Refused as refused:
            code = grpc.StatusCode.NOT_FOUND if refused.status == 404 else grpc.StatusCode.INVALID_ARGUMENT
            context.abort(code, str(refused))
        number = next(self.numbers)
        count = max(1, min(request.max_stream_count or 1, frame.height // ROWS_A_MESSAGE))
        names = [f"{request.parent}/locations/us/sessions/{number}/streams/{n}" for n in range(count)]
        self.streams |= {name: frame[n::count] for n, name in enumerate(names)} if frame.height else {}
        return types.ReadSession(
            name=f"{request.parent}/locations/us/sessions/{number}",
            table=asked.table,
            data_format=asked.data_format,
            arrow_schema=types.ArrowSchema(serialized_schema=_messages(frame.clear())[0]),
            streams=[types.ReadStream(name=name) for name in names if frame.height],
        )

    def read(self, request: types.ReadRowsRequest, _: grpc.ServicerContext) -> Iterator[types.ReadRowsResponse]:
        frame = self.streams[request.read_stream][request.offset :]
        for part in frame.iter_slices(ROWS_A_MESSAGE):
            batch = types.ArrowRecordBatch(serialized_record_batch=_messages(part)[1])
            yield types.ReadRowsResponse(arrow_record_batch=batch, row_count=part.height)


def _messages(frame: pl.DataFrame) -> tuple[bytes, bytes]:
    """A frame as Arrow's IPC messages: the schema, and the record batches."""
    buffer = io.BytesIO()
    frame.rechunk().write_ipc_stream(buffer, compression="uncompressed", compat_level=pl.CompatLevel.oldest())
    whole = buffer.getvalue()
    schema = 8 + int.from_bytes(whole[4:8], "little")
    return whole[:schema], whole[schema:-END_OF_STREAM]


@contextmanager
def serving_reads(warehouse: FakeBigQuery) -> Iterator[str]:
    """The API's address while it runs, as http://127.0.0.1:port."""
    reads = _Reads(warehouse)

    def method(handle: Any, request: Any, answer: Any, streams: bool) -> grpc.RpcMethodHandler:
        kind = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
        return kind(handle, request_deserializer=request.deserialize, response_serializer=answer.serialize)

    handlers = {
        "CreateReadSession": method(reads.create, types.CreateReadSessionRequest, types.ReadSession, False),
        "ReadRows": method(reads.read, types.ReadRowsRequest, types.ReadRowsResponse, True),
    }
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
