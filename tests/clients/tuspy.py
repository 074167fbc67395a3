"""Uploads a file with tuspy, resuming what an earlier run began: tuspy.py URL FILE STORAGE RETRIES."""

import sys

from tusclient.client import TusClient
from tusclient.storage.filestorage import FileStorage

url, path, storage, retries = sys.argv[1:]
uploader = TusClient(url).uploader(
    path,
    chunk_size=1_000_000,
    metadata={"filename": "größe.bin"},
    retries=int(retries),
    retry_delay=0.05,
    store_url=True,
    url_storage=FileStorage(storage),
    upload_checksum=path.endswith(".checked"),
)
uploader.upload()
print(uploader.url)
