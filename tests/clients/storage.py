"""Clients of S3: s3fs, smart_open, PyArrow's (AWS's C++ SDK) and MinIO's. Argument: a bucket."""

import io
import os
import sys
from datetime import timedelta
from urllib.request import urlopen

import pyarrow as pa
import s3fs
import smart_open
from minio import Minio
from minio.error import S3Error
from pyarrow import fs, parquet

(bucket,) = sys.argv[1:]
endpoint, region = os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_DEFAULT_REGION"]
key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
large = bytes(range(256)) * 50_000  # 12.8 MB: in parts

files = s3fs.S3FileSystem()
with files.open(f"{bucket}/s3fs/a ü+%.txt", "wb") as out:
    out.write(b"A -> AA")
files.pipe(f"{bucket}/s3fs/large", large)
assert files.cat(f"{bucket}/s3fs/a ü+%.txt") == b"A -> AA"
assert files.cat_file(f"{bucket}/s3fs/large", start=255, end=258) == bytes([255, 0, 1])
assert sorted(files.ls(f"{bucket}/s3fs")) == [f"{bucket}/s3fs/a ü+%.txt", f"{bucket}/s3fs/large"]
assert files.info(f"{bucket}/s3fs/large")["size"] == len(large)
files.mv(f"{bucket}/s3fs/large", f"{bucket}/s3fs/moved")
with files.open(f"{bucket}/s3fs/a ü+%.txt", "ab") as out:
    out.write(b"!")
assert files.cat(f"{bucket}/s3fs/a ü+%.txt") == b"A -> AA!"
files.rm(f"{bucket}/s3fs", recursive=True)
assert not files.exists(f"{bucket}/s3fs")
found = True
try:
    files.open(f"{bucket}/nothing").read()
except FileNotFoundError:
    found = False
assert not found

with smart_open.open(f"s3://{bucket}/smart/lines.txt.gz", "w") as out:
    out.writelines(f"{number}\n" for number in range(100_000))
with smart_open.open(f"s3://{bucket}/smart/lines.txt.gz") as held:
    assert sum(int(line) for line in held) == sum(range(100_000))

arrow = fs.S3FileSystem(
    access_key=key, secret_key=secret, region=region, endpoint_override=endpoint.partition("://")[2], scheme="http"
)
table = pa.table({"text": ["A", "B"] * 500_000, "number": range(1_000_000)})
parquet.write_table(table, f"{bucket}/arrow/table.parquet", filesystem=arrow)
read = parquet.read_table(f"{bucket}/arrow/table.parquet", columns=["number"], filesystem=arrow)
assert read["number"].to_pylist()[-1] == 999_999
found = arrow.get_file_info(fs.FileSelector(bucket, recursive=True))
assert f"{bucket}/arrow/table.parquet" in [one.path for one in found]
arrow.delete_dir(f"{bucket}/arrow")
assert arrow.get_file_info(f"{bucket}/arrow/table.parquet").type == fs.FileType.NotFound

minio = Minio(endpoint.partition("://")[2], access_key=key, secret_key=secret, region=region, secure=False)
minio.put_object(bucket, "minio/large", io.BytesIO(large), len(large), part_size=5 << 20)
minio.put_object(bucket, "minio/stream", io.BytesIO(b"typed"), -1, part_size=5 << 20)
assert minio.get_object(bucket, "minio/large", offset=255, length=3).data == bytes([255, 0, 1])
assert minio.stat_object(bucket, "minio/large").size == len(large)
assert [one.object_name for one in minio.list_objects(bucket, "minio/")] == ["minio/large", "minio/stream"]
assert urlopen(minio.presigned_get_object(bucket, "minio/stream", timedelta(minutes=1))).read() == b"typed"
minio.remove_object(bucket, "minio/large")
refused = None
try:
    minio.stat_object(bucket, "minio/large")
except S3Error as error:
    refused = error.code
assert refused == "NoSuchKey"
