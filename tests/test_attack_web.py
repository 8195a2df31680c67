"""Hostile requests to a studio in a process of its own: `pytest -m attack`.

IMPASTO_ATTACK_REQUESTS sets how many requests are made up (200 unless set), IMPASTO_ATTACK_SEED repeats a run,
IMPASTO_ATTACK_ROUNDS sets how often the visitors come.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
import pytest
from bounded import FORKS
from hostile import chunk, png, shared_tags
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable
from PIL import Image

HERE = Path(__file__).parent
COUNT = int(os.environ.get("IMPASTO_ATTACK_REQUESTS", "200"))
ROUNDS = int(os.environ.get("IMPASTO_ATTACK_ROUNDS", "1"))
HONEST, SLOW = 50, 500  # visitors, and connections of the hostile one
CONVERTERS = 8  # pictures that it takes along at once


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of a studio whose pictures take little, and its process."""
    command = [sys.executable, str(HERE / "attacked.py"), "0.005"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with (
        (tmp_path / "log").open("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as process,
    ):
        assert process.stdout
        yield process.stdout.readline().strip(), psutil.Process(process.pid)
        assert process.poll() is None, "the server has ended"
        process.terminate()
    assert "Traceback" not in (said := (tmp_path / "log").read_text()), said[-3000:]


def picture(color: str = "teal", size: tuple[int, int] = (60, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.attack
def test_requests_from_the_description_are_answered(server: tuple[str, psutil.Process], seed: int) -> None:
    """Whatever fits the OpenAPI description, and what nearly does; ids are now and then those of pictures there are."""
    import requests
    import schemathesis

    url, _ = server
    schema = schemathesis.openapi.from_url(f"{url}/api/openapi.json")
    codes: Counter[int] = Counter()
    wrong: list[str] = []
    session = requests.Session()
    files = {"photo": ("a.png", picture(), "image/png")}
    job = session.post(f"{url}/api/jobs", files=files, data={"style": "ink", "size": "32"}).json()["id"]
    choose = random.Random(seed)
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [one for one in operations if not one.path.endswith("/events")]  # which do not end

    def attack(operation: Any, mode: Any) -> None:
        @seeded(seed)
        @settings(
            max_examples=max(10, COUNT // len(operations) // 2),
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
            deadline=None,
        )
        @given(one=operation.as_strategy(generation_mode=mode))
        def send(one: Any) -> None:
            if "id" in (one.path_parameters or {}):
                one.path_parameters["id"] = "none" if one.method == "DELETE" else choose.choice([job, "none"])
            answer = one.call(session=session, timeout=60)
            codes[answer.status_code] += 1
            if answer.status_code >= 500:
                wrong.append(f"{answer.status_code} {one.as_curl_command()[:500]}")
            elif answer.status_code >= 400 and one.method != "HEAD" and set(answer.json()) != {"error"}:
                wrong.append(f"{answer.text[:200]} {one.as_curl_command()[:500]}")

        send()

    for operation in operations:
        attack(operation, schemathesis.GenerationMode.POSITIVE)
        with contextlib.suppress(Unsatisfiable):  # it takes nothing that could be wrong
            attack(operation, schemathesis.GenerationMode.NEGATIVE)
    print(f"{codes.total()} requests: {dict(codes)}")
    assert not wrong, wrong[:5]
    assert codes.total() > COUNT // 3


PATHS = [
    "/",
    "/api",
    "/api/",
    "/api/jobs",
    "/api/jobs/ID",
    "/api/jobs/ID/picture",
    "/api/jobs/ID/preview",
    "/api/jobs/ID/guides/mask",
    "/api/pictures",
    "/api/jobs/ID/recipe",
    "/api/jobs/ID/stop",
    "/api/jobs/ID/continue",
    "/api/sheets",
    "/api/visit",
    "/api/pictures/ID",
    "/api/openapi.json",
    "/static/main.js",
    "/static/",
    "/static/..%2f..%2fapi.py",
    "/static/%2e%2e/%2e%2e/server.py",
    "//etc/passwd",
    "/api/jobs/..%2f..",
    "/%00",
    "/é",
    "/" + "a/" * 2000,
]
ODD = [
    "0",
    "-1",
    "nan",
    "1e400",
    "inf",
    "../x.jpg",
    "/etc/passwd",
    "../../../../etc/shadow",
    "file:///etc/passwd",
    "http://10.9.9.9/",
    "%00",
    "{}",
    "[]",
    ",",
    "70,30",
    "1,2,3",
    "png",
    "16",
    "true",
    "red",
    "full",
    "photo",
    "rocket",
    "ink",
    "nocturne",
    "instant",
    "10%,10%,20%,20%",
    "relu1_1=1e308",
    "",
    "\0",
    "9" * 5000,
    "a" * 100_000,
    "\U0001f600" * 50,
]
HEADS = [
    *"""
Range: bytes=0-1
Range: bytes=9-1
Cookie: impasto_visitor=x
Origin: null
Origin: http://evil
Expect: 100-continue
If-Modified-Since: yesterday
If-None-Match: *
Authorization: Basic !!!
Content-Length: 5
Content-Length: -5
Content-Length: 99999999999999999999
Transfer-Encoding: chunked
Transfer-Encoding: gzip, chunked
Host: evil
Content-Type: multipart/form-data
Content-Type: application/json
Content-Type: text/html; charset=no-such
X: \xff\xfe
: x
""".strip().splitlines(),
    "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(500)),
    "Cookie: " + "a=b; " * 1000,
    "Accept-Encoding: " + "x" * 3000,
    "Upgrade: websocket\r\nConnection: upgrade",
    "Content-Type: multipart/form-data; boundary=" + "b" * 500,
]  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "\0", "A" * 300]


def raw_request(choose: random.Random, host: str, job: str) -> bytes:
    """A request as no client makes it."""
    method = choose.choice(
        ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "\0", "A" * 300]
    )
    path = choose.choice(PATHS).replace(
        "ID", choose.choice([job, choose.choice(["..", "%2e%2e", "x" * 500, "\u20ac"])])
    )
    if choose.random() < 0.4:
        name = choose.choice(["format", "bits", "size", "id", "x" * 50])
        path += f"?{name}={choose.choice(ODD)[:3000]}"
    if method == "DELETE":
        path = path.replace(job, "none")
    version = choose.choice(["HTTP/1.1"] * 8 + ["HTTP/1.0", "HTTP/9.9", ""])
    heads = [f"Host: {host}", "Connection: close", *choose.sample(HEADS, choose.randrange(3))]
    body = choose.choice([b"", b"{}", b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"--b\r\n" * 50, bytes(2000)])
    head = "\r\n".join([f"{method} {path} {version}", *heads])
    return head.encode(errors="surrogatepass") + b"\r\n\r\n" + body


def answered(address: tuple[str, int], content: bytes) -> bytes:
    with socket.create_connection(address, timeout=60) as connection:
        try:
            connection.sendall(content)
            connection.settimeout(0.5)
            return connection.recv(64)
        except (ConnectionError, TimeoutError):  # refused before all of it was read; or it waits for more
            return b""


@pytest.mark.attack
def test_crafted_requests_are_answered(server: tuple[str, psutil.Process], seed: int) -> None:
    url, _ = server
    host = url.removeprefix("http://")
    address = host.split(":")[0], int(host.split(":")[1])
    choose = random.Random(seed)
    codes: Counter[bytes] = Counter()
    with httpx.Client(base_url=url, timeout=60) as client:
        files = {"photo": ("a.png", picture())}
        job = client.post("/api/jobs", files=files, data={"style": "ink", "size": "32"}).json()["id"]
        for number in range(COUNT):
            if number % 3:
                content = raw_request(choose, host, job)
                start = answered(address, content)
                code = start[9:12] if start.startswith(b"HTTP/1.1 ") else b"none"
            else:
                code = str(odd_form(choose, client)).encode()
            codes[code] += 1
            assert not code.startswith(b"5"), (code, number)
        print(f"{codes.total()} requests: {dict(codes)}")
        assert codes[b"400"]
        honest = client.post("/api/jobs", files=files, data={"style": "ink", "size": "32"})
        assert honest.status_code == 202, honest.text
        assert client.get(f"/api/jobs/{honest.json()['id']}").status_code == 200


def odd_form(choose: random.Random, client: httpx.Client) -> int:
    """A form of the API with odd fields and files; the status of its answer."""
    fields = [
        "photo",
        "style",
        "mask",
        "style_mask",
        "protect",
        "attended",
        "size",
        "strength",
        "quality",
        "style_weight",
    ]
    fields += ["content_layers", "init", "device", "memory", "cluster", "seed", "no_such", "strokes", ""]
    data = {choose.choice(fields): choose.choice(ODD) for _ in range(choose.randrange(6))}
    contents = [b"", b"text", picture(), png(100_000, 16), picture()[:50]]
    names = ["a.png", "../../a.png", "\0", "a" * 5000, "CON", "\u202egnp.exe", ".", "a/b\\c", "%2e%2e%2f"]
    names_of_files = choose.sample(["photo", "style", "mask", "protect", "style_mask"], choose.randrange(3))
    files = {name: (choose.choice(names), choose.choice(contents)) for name in names_of_files}
    if choose.random() < 0.5:
        data, files = {**data, "style": "ink"}, {**files, "photo": ("a.png", picture())}
        data.pop("photo", None)
    path = choose.choice(["/api/jobs", "/api/jobs", "/api/sheets", "/api/pictures"])
    if path == "/api/pictures":
        files = {"file": (choose.choice(names), choose.choice(contents))}
    answer = client.post(path, data=data, files=files or None)
    if answer.status_code >= 400:
        assert set(answer.json()) == {"error"}, answer.text
        client.cookies.clear()
    return answer.status_code


# One hostile client beside many honest ones


class Hostile:
    """Whoever wants to spoil it for the others, from an address of its own, until it is told to end.

    In a process of its own (`hostile_process`): in that of the visitors it would take what their waits are measured
    with.
    """

    ADDRESS, OTHER = "127.0.0.99", "127.0.0.98"

    def __init__(self, url: str) -> None:
        self.url = url
        self.host, _, port = url.removeprefix("http://").partition(":")
        self.port = int(port)
        self.ended = threading.Event()
        self.codes: Counter[str] = Counter()
        works = [self.slow, self.fill, self.fill, self.bombs, self.bombs, self.listen]
        works += [self.convert] * CONVERTERS
        self.threads = [threading.Thread(target=work) for work in works]

    def __enter__(self) -> Hostile:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def connected(self, start: bytes) -> socket.socket:
        connection = socket.create_connection((self.host, self.port), 60, (self.ADDRESS, 0))
        connection.sendall(start)
        return connection

    def slow(self) -> None:
        """Half a request on each of many connections, a byte a second; what is closed is opened anew."""
        open: list[socket.socket] = []
        body = b"POST /api/pictures HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
        while not self.ended.wait(1):
            for connection in list(open):
                try:
                    connection.send(b"x")
                except OSError:
                    connection.close()
                    open.remove(connection)
                    self.codes["slow connections closed"] += 1
            while len(open) < SLOW and not self.ended.is_set():
                try:
                    open.append(self.connected(body if len(open) % 2 else b"GET / HTTP/1.1\r\nX: "))
                except OSError:
                    self.codes["refused"] += 1
                    break
        for connection in open:
            connection.close()

    def fill(self) -> None:
        """As many pictures as may be, without a cookie."""
        with self.client() as client:
            while not self.ended.is_set():
                client.cookies.clear()
                files = {"photo": ("a.png", picture("red"))}
                self.ask(client, "/api/jobs", files, {"style": "ink", "size": "2048"})

    def bombs(self) -> None:
        files = [
            png(1_000_000, 16),
            png(40, 30, extra=chunk(b"eXIf", shared_tags(60_000, 200_000))),
            picture(size=(9000, 9000)),
            bytes(20_000_000),
        ]
        with self.client() as client:
            while not self.ended.is_set():
                client.cookies.clear()
                for content in files:
                    self.ask(client, "/api/pictures", {"file": ("a.png", content)}, {})

    def listen(self) -> None:
        """Many pages that are open."""
        open = []
        while not self.ended.wait(1):
            while len(open) < SLOW // 2 and not self.ended.is_set():
                try:
                    open.append(self.connected(b"GET /api/visit/events HTTP/1.1\r\nHost: a\r\n\r\n"))
                except OSError:
                    break
        for connection in open:
            connection.close()

    def convert(self) -> None:
        """A large picture again and again, in formats that take long, from an address with connections to spare."""
        id, formats = "", ["avif", "webp", "tif", "png"]
        with self.client(self.OTHER) as client, contextlib.suppress(httpx.HTTPError):
            while not self.ended.is_set():
                if not id:
                    files = {"photo": ("a.png", picture("blue"))}
                    asked = client.post("/api/jobs", files=files, data={"style": "ink", "size": "2048"})
                    id = asked.json().get("id", "")
                    continue
                formats.append(formats.pop(0))
                taken = client.get(f"/api/jobs/{id}/picture?format={formats[0]}").status_code
                self.codes[f"{taken} of a picture in another format"] += 1

    def client(self, address: str = ADDRESS) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=300, transport=httpx.HTTPTransport(local_address=address))

    def ask(self, client: httpx.Client, path: str, files: dict[str, Any], data: dict[str, str]) -> None:
        try:
            self.codes[str(client.post(path, files=files, data=data).status_code)] += 1
        except httpx.HTTPError as error:
            self.codes[type(error).__name__] += 1


def attack(url: str, end: Any, codes: Any) -> None:
    with Hostile(url) as hostile:
        end.wait()
    codes.put(dict(hostile.codes))


@contextlib.contextmanager
def hostile_process(url: str) -> Iterator[dict[str, int]]:
    """A hostile client while the block runs; what it was answered is known after that."""
    end, codes = FORKS.Event(), FORKS.Queue()
    answers: dict[str, int] = {}
    process = FORKS.Process(target=attack, args=(url, end, codes))
    process.start()
    try:
        yield answers
    finally:
        end.set()
        answers |= codes.get(timeout=300)
        process.join()


def visits(url: str) -> list[float]:
    """How long the pages of many visitors took, who come together and are all painted for; the shortest first."""
    with ThreadPoolExecutor(HONEST) as pool:
        outcomes = list(pool.map(lambda number: visit(url, number), range(HONEST)))
    assert all(painted for painted, _ in outcomes)
    return sorted(wait for _, waits in outcomes for wait in waits)


def visit(url: str, number: int) -> tuple[bool, list[float]]:
    """Open the page, bring a photograph, wait for the picture and take it: whether it came, how long pages took."""
    waits: list[float] = []
    transport = httpx.HTTPTransport(local_address=f"127.0.0.{100 + number}")
    with httpx.Client(base_url=url, timeout=300, transport=transport) as client:

        def timed(path: str) -> httpx.Response:
            begun = time.monotonic()
            answer = client.get(path)
            waits.append(time.monotonic() - begun)
            assert answer.status_code == 200, answer.text
            return answer

        for path in ("/", "/static/main.js", "/api/visit", "/api/settings"):
            timed(path)
        files = {"photo": ("mine.png", picture(f"rgb({number}, 100, 50)", (300, 200)))}
        asked = client.post("/api/jobs", files=files, data={"style": "ink", "size": "128"})
        assert asked.status_code == 202, asked.text
        id = asked.json()["id"]
        while (state := timed(f"/api/jobs/{id}").json()["state"]) in ("waiting", "painting"):
            timed("/")
            time.sleep(0.5)
        with Image.open(io.BytesIO(client.get(f"/api/jobs/{id}/picture").content)) as image:
            color = image.convert("RGB").getpixel((50, 50))
        return state == "done" and color == (255 - number, 155, 205), waits


@pytest.mark.attack
def test_a_hostile_client_spoils_nothing_for_others(server: tuple[str, psutil.Process]) -> None:
    url, process = server
    waits = {"before": visits(url)}
    used = []
    with hostile_process(url) as answers:
        for number in range(ROUNDS):
            waits[f"beside it, {number + 1}"] = visits(url)
            used.append(process.memory_info().rss / 2**20)
    waits["after"] = visits(url)
    print(f"{HONEST} visitors, {ROUNDS} times beside a hostile one: every picture painted")
    for when, each in waits.items():
        print(f"{when}: {len(each)} pages, waits of median {each[len(each) // 2]:.3f} s", end=", ")
        print(f"99 % {each[len(each) * 99 // 100]:.3f} s, longest {each[-1]:.3f} s")
    print(f"memory after each time {[round(mib) for mib in used]} MiB; the hostile one's answers {answers}")
    assert answers.get("429", 0) + answers.get("400", 0)
