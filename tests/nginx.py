"""A real nginx before a real `mien serve`, which it gives below a prefix."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_max_body_size 16m;
  client_body_buffer_size 16m;
  proxy_max_temp_file_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location {prefix} {{
      proxy_pass http://127.0.0.1:{server}/;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      {headers}
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, server: int, prefix: str = "/mien/", headers: str = "") -> Iterator[str]:
    """Yield the address of what listens at the port `server`, below a prefix; skips where there is no nginx.

    The proxy takes the prefix off, so the server knows of it by `headers` alone.
    """
    if NGINX is None:
        pytest.skip("no nginx is installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = folder / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(folder=folder, port=port, prefix=prefix, server=server, headers=headers)
    )
    process = subprocess.Popen([NGINX, "-e", "stderr", "-c", str(file)], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(process, port)
        yield f"http://127.0.0.1:{port}{prefix}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def wait_for(process: subprocess.Popen, port: int, seconds: float = 10) -> None:
    """Wait until somebody listens at a port."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
