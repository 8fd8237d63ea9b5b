"""A BigQuery for tests: the tables, load jobs and reads that the warehouse uses, with BigQuery's rules, in memory.

Rows are kept by partition. SQL is not understood; of it, only the statement that exchanges days is carried out.
"""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
import re
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tests.fakes.http import Answer, Fake, Refused, Request, parts_of, route

API = "/bigquery/v2/projects/{}"
TABLES = API + "/datasets/{}/tables"
UPLOAD = "/upload" + API + "/jobs"
TYPES = {
    "INTEGER": pl.Int64,
    "FLOAT": pl.Float64,
    "STRING": pl.String,
    "BOOLEAN": pl.Boolean,
    "DATE": pl.Date,
    "TIMESTAMP": pl.Datetime("us", "UTC"),
}
MERGE = re.compile(
    r"MERGE `(\S+?)` AS kept\nUSING `(\S+?)` AS new\nON FALSE\n"
    r"WHEN NOT MATCHED BY SOURCE AND kept\.game_day IN \((DATE '[\d-]+'(?:, DATE '[\d-]+')*)\) THEN DELETE\n"
    r"WHEN NOT MATCHED THEN INSERT \((`\w+`(?:, `\w+`)*)\) VALUES \(\4\)"
)


@dataclass
class Table:
    """A table's definition and its rows by partition."""

    resource: dict[str, Any]
    rows: dict[dt.date, pl.DataFrame] = field(default_factory=dict)

    @property
    def schema(self) -> dict[str, Any]:
        return {item["name"]: TYPES[item["type"]] for item in self.resource["schema"]["fields"]}

    @property
    def partitioning(self) -> str | None:
        return self.resource.get("timePartitioning", {}).get("field")

    def all(self) -> pl.DataFrame:
        empty = pl.DataFrame(schema=self.schema)
        return pl.concat([empty, *(frame for _, frame in sorted(self.rows.items()))], how="diagonal")


@dataclass(frozen=True)
class Seen:
    """A read session: of which table, which columns, and which partitions it had to open."""

    table: str
    columns: tuple[str, ...]
    partitions: tuple[dt.date, ...]


class FakeBigQuery(Fake):
    """Projects come into being when asked for; datasets must be named here."""

    def __init__(self, *datasets: str) -> None:
        super().__init__()
        self.datasets = set(datasets)
        self.tables: dict[tuple[str, str], Table] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.loads: Counter[str] = Counter()
        self.loads_a_day = 1500  # BigQuery's limit for one table
        self.job_faults: list[Refused | None] = []  # what becomes of the next jobs
        self.seen: list[Seen] = []
        self.sessions: dict[str, dict[str, Any]] = {}
        self._clock = itertools.count(int(dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp() * 1000))

    def forget(self) -> None:
        """Begin anew with nothing in the datasets."""
        with self.lock:
            self.tables.clear()
            for kept in (self.jobs, self.loads, self.job_faults, self.seen, self.sessions, self.faults, self.requests):
                kept.clear()

    # Tables

    def table(self, dataset: str, name: str) -> Table:
        if dataset not in self.datasets:
            raise Refused(404, "notFound", f"Not found: Dataset {dataset}")
        if (dataset, name) not in self.tables:
            raise Refused(404, "notFound", f"Not found: Table {dataset}.{name}")
        return self.tables[dataset, name]

    def touch(self, table: Table) -> None:
        table.resource["lastModifiedTime"] = str(next(self._clock))
        table.resource["etag"] = uuid.uuid4().hex
        table.resource["numRows"] = str(sum(frame.height for frame in table.rows.values()))

    def get_table(self, _: Request, __: str, dataset: str, name: str) -> Answer:
        return Answer(self.table(dataset, name).resource)

    def list_tables(self, _: Request, project: str, dataset: str) -> Answer:
        names = ("id", "tableReference", "labels", "timePartitioning")
        found = [table.resource for (where, _), table in sorted(self.tables.items()) if where == dataset]
        return Answer({"tables": [{name: item[name] for name in names if name in item} for item in found]})

    def create_table(self, request: Request, project: str, dataset: str) -> Answer:
        resource = request.json
        name = resource["tableReference"]["tableId"]
        if dataset not in self.datasets:
            raise Refused(404, "notFound", f"Not found: Dataset {dataset}")
        if (dataset, name) in self.tables:
            raise Refused(409, "duplicate", f"Already Exists: Table {dataset}.{name}")
        if not re.fullmatch(r"[\w-]+", name):
            raise Refused(400, "invalid", f"Invalid table ID {name}")
        table = Table({**resource, "id": f"{project}:{dataset}.{name}", "type": "TABLE"})
        table.resource["creationTime"] = str(next(self._clock))
        self.touch(table)
        self.tables[dataset, name] = table
        return Answer(table.resource)

    def update_table(self, request: Request, _: str, dataset: str, name: str) -> Answer:
        table = self.table(dataset, name)
        if request.headers.get("if-match") not in (None, table.resource["etag"]):
            raise Refused(412, "conditionNotMet", "Precondition check failed.")
        fields = request.json.get("schema", {}).get("fields")
        if fields is not None:
            names = [item["name"] for item in fields]
            lost = [name for name in table.schema if name not in names]
            new = [item for item in fields if item["name"] not in table.schema]
            if lost or any(item.get("mode", "NULLABLE") == "REQUIRED" for item in new):
                raise Refused(400, "invalid", f"Provided Schema does not match Table: {lost or new}")
        table.resource.update(request.json)
        self.touch(table)
        return Answer(table.resource)

    def delete_table(self, _: Request, __: str, dataset: str, name: str) -> Answer:
        table, _, partition = name.partition("$")
        found = self.table(dataset, table)
        if not partition:
            del self.tables[dataset, table]
        elif found.rows.pop(dt.date.fromisoformat(partition), None) is None:
            raise Refused(404, "notFound", f"Not found: Partition {name}")
        else:
            self.touch(found)
        return Answer(None, 204)

    # Jobs

    def upload(self, request: Request, project: str) -> Answer:
        if request.query["uploadType"] == "multipart":
            return Answer(self.load(project, *parts_of(request)))
        self.sessions[key := uuid.uuid4().hex] = {"job": request.json, "body": b""}
        host = request.headers["host"]
        return Answer({}, headers={"Location": f"http://{host}/upload{API.format(project)}/jobs/{key}"})

    def upload_chunk(self, request: Request, project: str, key: str) -> Answer:
        session = self.sessions[key]
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", request.headers["content-range"])
        assert found is not None
        session["body"] = session["body"][: int(found[1])] + request.body
        if found[3] == "*" or len(session["body"]) < int(found[3]):
            return Answer(None, 308, {"Range": f"bytes=0-{len(session['body']) - 1}"})
        return Answer(self.load(project, session["job"], session["body"]))

    def load(self, project: str, job: dict[str, Any], body: bytes) -> dict[str, Any]:
        load = job["configuration"]["load"]
        target = load["destinationTable"]
        name = target["tableId"].partition("$")[0]

        def work() -> dict[str, Any]:
            self.loads[name] += 1
            if self.loads[name] > self.loads_a_day:
                raise Refused(403, "quotaExceeded", f"Quota exceeded: load jobs per day for table {name}")
            table = self.table(target["datasetId"], name)
            rows = self._rows_of(table, body)
            partition = target["tableId"].partition("$")[2]
            self._write(table, rows, partition, load["writeDisposition"])
            return {"load": {"outputRows": str(rows.height), "inputFileBytes": str(len(body))}}

        return self._job(project, job, work)

    def _rows_of(self, table: Table, body: bytes) -> pl.DataFrame:
        rows = pl.read_parquet(io.BytesIO(body))
        for item in table.resource["schema"]["fields"]:
            if item.get("mode") == "REQUIRED":
                said = f"Field {item['name']} has changed mode from REQUIRED to NULLABLE"
                raise Refused(400, "invalid", f"Provided Schema does not match Table. {said}")
        unknown = [name for name in rows.columns if name not in table.schema]
        if unknown:
            raise Refused(
                400, "invalid", f"Provided Schema does not match Table. Cannot add fields (field: {unknown[0]})"
            )
        for name, dtype in rows.schema.items():
            kind = pl.Int64() if dtype.is_integer() else pl.Float64() if dtype.is_float() else dtype
            if kind != table.schema[name]:
                said = f"Field {name} has changed type from {table.schema[name]} to {dtype}"
                raise Refused(400, "invalid", f"Provided Schema does not match Table. {said}")
        return rows.cast({name: table.schema[name] for name in rows.columns})

    def _write(self, table: Table, rows: pl.DataFrame, partition: str, disposition: str) -> None:
        column = table.partitioning
        assert column is not None, "the warehouse makes partitioned tables only"
        if rows[column].null_count():
            raise Refused(400, "invalid", f"{column} is null: this fake has no __NULL__ partition")
        by_day = {day: frame for (day,), frame in rows.partition_by(column, as_dict=True).items()}
        if partition:
            day = dt.date.fromisoformat(partition)
            others = by_day.keys() - {day}
            if others:
                said = f"Some rows belong to different partitions rather than destination partition {partition}"
                raise Refused(400, "invalid", f"{said}: {min(others)}")
            by_day = {day: rows}
        if disposition == "WRITE_TRUNCATE":
            if not partition:
                table.rows.clear()
            table.rows.update(by_day)
        else:
            for day, frame in by_day.items():
                old = table.rows.get(day)
                table.rows[day] = frame if old is None else pl.concat([old, frame], how="diagonal")
        table.rows = {day: frame for day, frame in table.rows.items() if frame.height}  # empty partitions are forgotten
        self.touch(table)

    def insert_job(self, request: Request, project: str) -> Answer:
        job = request.json
        sql = job["configuration"]["query"]["query"]
        found = MERGE.fullmatch(sql)
        if not found:
            raise Refused(400, "invalidQuery", f"this fake does not understand {sql}")
        kept, new = (self.table(*name.split(".")[1:]) for name in found.group(1, 2))
        size = kept.all().estimated_size() + new.all().estimated_size()
        if job["configuration"].get("dryRun"):
            statistics = {"totalBytesProcessed": str(size), "query": {"totalBytesProcessed": str(size)}}
            return Answer({**job, "status": {"state": "DONE"}, "statistics": statistics})

        def work() -> dict[str, Any]:
            if size > int(job["configuration"]["query"]["maximumBytesBilled"]):
                raise Refused(400, "bytesBilledLimitExceeded", "Query exceeded limit for bytes billed")
            days = {dt.date.fromisoformat(text) for text in re.findall(r"[\d-]{10}", found[3])}
            assert re.findall(r"`(\w+)`", found[4]) == new.all().columns
            for day in days:
                kept.rows.pop(day, None)
            for day, frame in new.rows.items():
                old = kept.rows.get(day)
                kept.rows[day] = frame if old is None else pl.concat([old, frame], how="diagonal")
            self.touch(kept)
            return {"totalBytesProcessed": str(size), "query": {"statementType": "MERGE"}}

        return Answer(self._job(project, job, work))

    def _job(self, project: str, job: dict[str, Any], work: Any) -> dict[str, Any]:
        job_id = job["jobReference"]["jobId"]
        if not re.fullmatch(r"[\w-]{1,1024}", job_id):
            raise Refused(400, "invalid", f"Invalid job ID {job_id}")
        if job_id in self.jobs:
            raise Refused(409, "duplicate", f"Already Exists: Job {project}:{job_id}")
        for label in job["configuration"].get("labels", {}).values():
            if not re.fullmatch(r"[a-z0-9_-]{0,63}", label):
                raise Refused(400, "invalid", f"Invalid label value {label}")
        job = json.loads(json.dumps({**job, "id": f"{project}:{job_id}", "status": {"state": "DONE"}}))
        self.jobs[job_id] = job
        try:
            if self.job_faults and (fault := self.job_faults.pop(0)) is not None:
                raise fault
            job["statistics"] = work()
        except Refused as refused:
            job["status"].update(errorResult=refused.error, errors=[refused.error])
            job["statistics"] = {}
        return job

    def get_job(self, _: Request, __: str, job_id: str) -> Answer:
        if job_id not in self.jobs:
            raise Refused(404, "notFound", f"Not found: Job {job_id}")
        return Answer(self.jobs[job_id])

    def get_query(self, _: Request, __: str, job_id: str) -> Answer:
        job = self.jobs[job_id]
        if "errorResult" in job["status"]:
            raise Refused(400, job["status"]["errorResult"]["reason"], job["status"]["errorResult"]["message"])
        return Answer({"jobComplete": True, "jobReference": job["jobReference"], "totalRows": "0", "schema": {}})

    # What the Storage Read API is asked (tests/fakes/bigquery_storage.py)

    def session(self, path: str, columns: list[str], restriction: str) -> pl.DataFrame:
        """The rows as of now; only of the partitions that the restriction leaves."""
        with self.lock:
            _, _, _, dataset, _, name = path.split("/")
            table = self.table(dataset, name)
            days = {day for day in table.rows if _in_days(day, restriction)}
            frame = pl.concat(
                [pl.DataFrame(schema=table.schema), *(table.rows[day] for day in sorted(days, reverse=True))],
                how="diagonal",
            )
            if found := re.fullmatch(r'(\w+) = "(\w+)"', restriction):
                frame = frame.filter(pl.col(found[1]) == found[2])
            self.seen.append(Seen(name, tuple(columns), tuple(sorted(days))))
            return frame.select(name for name in table.schema if name in columns)

    routes = [
        route("GET", TABLES + "/{}")(get_table),
        route("GET", TABLES)(list_tables),
        route("POST", TABLES)(create_table),
        route("PATCH", TABLES + "/{}")(update_table),
        route("DELETE", TABLES + "/{}")(delete_table),
        route("POST", UPLOAD)(upload),
        route("PUT", UPLOAD + "/{}")(upload_chunk),
        route("POST", API + "/jobs")(insert_job),
        route("GET", API + "/jobs/{}")(get_job),
        route("GET", API + "/queries/{}")(get_query),
    ]


def _in_days(day: dt.date, restriction: str) -> bool:
    """Whether a partition has to be opened. Raises Refused for a restriction that is none of ours."""
    if not restriction or re.fullmatch(r'table_name = "\w+"', restriction):
        return True
    literal = r'DATE "(\d{4}-\d\d-\d\d)"'
    if re.fullmatch(rf"game_day IN \({literal}(, {literal})*\)", restriction):
        return day in {dt.date.fromisoformat(text) for text in re.findall(literal, restriction)}
    signs = {">=": day.__ge__, "<=": day.__le__}
    parts = [re.fullmatch(rf"game_day (>=|<=) {literal}", part) for part in restriction.split(" AND ")]
    if not all(parts):
        raise Refused(400, "invalid", f"row_restriction not understood: {restriction}")
    return all(signs[part[1]](dt.date.fromisoformat(part[2])) for part in parts if part is not None)
