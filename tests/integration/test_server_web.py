"""The page of the queue: who gets in, what a form needs, and how it looks in a real browser."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import pytest

from fakes.browser import headless_browser
from fakes.fake_engine import Behaviour
from fakes.live_server import FINAL_STATES, WAIT_TIMEOUT_S, LiveServer, live_server
from fakes.sample_stacks import write_stack
from layert2v.v1 import jobs_pb2
from layert2v_server.auth import Role, add_entry, make_token

ANNA, ANNA_ENTRY = make_token("anna")
BERT, BERT_ENTRY = make_token("bert")
ADMIN, ADMIN_ENTRY = make_token("eve", Role.ADMIN)
HOSTILE = "<script>document.title='hacked'</script>&amp;\u202e"
SLOW = Behaviour(step_s=0.05)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Visitor:
    """A browser without pictures or scripts: keeps its cookie, fills in forms."""

    address: str
    cookie: str = ""
    key: str = field(default="", init=False)

    def call(
        self, method: str, path: str, form: dict[str, str] | None = None, **headers: str | bytes
    ) -> Answer:
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=WAIT_TIMEOUT_S)
        with contextlib.closing(connection):
            body = None if form is None else urlencode(form)
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if self.cookie:
                sent["Cookie"] = self.cookie
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read().decode(errors="replace"))

    def log_in(self, token: str) -> Answer:
        answer = self.call("POST", "/login", {"token": token})
        self.cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        if self.cookie:
            page = self.call("GET", "/jobs").text
            self.key = re.findall(r'name="key" value="([^"]+)"', page)[0]
        return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("web")
    for entry in (ANNA_ENTRY, BERT_ENTRY, ADMIN_ENTRY):
        add_entry(folder / "tokens", entry)
    settings = {"token_file": str(folder / "tokens"), "web_address": "127.0.0.1:0"}
    with live_server(folder / "data", **settings) as server:
        server.connect(ANNA)
        yield server


@pytest.fixture
def visitor(server: LiveServer) -> Visitor:
    return Visitor(server.ready["web"])


@pytest.fixture(scope="module")
def done(server: LiveServer) -> str:
    """Return the id of a job of anna that has made a stack of real images."""
    server.connect(ANNA)
    job = server.wait_for_end(server.submit(prompt=f"a fox {HOSTILE}").name)
    identity = str(job.name).partition("/")[2]
    folder = server.data / "jobs" / identity / "stack"
    shutil.rmtree(folder)
    write_stack(folder)
    return identity


def test_without_a_session_there_is_only_the_log_in(visitor: Visitor, done: str) -> None:
    for path in ("/", "/jobs", "/jobs/rows", f"/jobs/{done}", f"/jobs/{done}/layers/"):
        answer = visitor.call("GET", path)
        assert answer.status == 303
        assert "fox" not in answer.text
    assert visitor.call("POST", f"/jobs/{done}/cancel", {}).status == 303
    assert visitor.call("GET", "/login").status == 200
    https = visitor.call("POST", "/login", {"token": ANNA}, Origin=f"https://{visitor.address}")
    assert "secure" in https.headers["set-cookie"].lower()  # as behind a proxy that ends TLS
    for token in ("", "wrong", ANNA[:-1]):
        assert visitor.log_in(token).status == 401
        assert not visitor.cookie


def test_every_answer_forbids_what_a_stranger_could_use(visitor: Visitor, done: str) -> None:
    cookie = visitor.log_in(ANNA).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    paths = ("/login", "/jobs", f"/jobs/{done}", "/static/page.js", "/nowhere", "/static/../x")
    for path in paths:
        headers = visitor.call("GET", path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    page = visitor.call("GET", "/jobs").text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page


def test_a_form_needs_its_key_and_its_origin(visitor: Visitor, server: LiveServer) -> None:
    visitor.log_in(ANNA)
    server.connect(ANNA)
    job = server.submit(steps=1000, behaviour=SLOW).name
    path = f"/{job}/cancel"
    good = {"key": visitor.key}
    assert visitor.call("GET", path).status == 405
    assert visitor.call("POST", path, {}).status == 403
    assert visitor.call("POST", path, {"key": "x"}).status == 403
    for origin in ("http://evil.example", "http://[", "http://\u2100.example".encode()):
        assert visitor.call("POST", path, good, Origin=origin).status == 403
    assert visitor.call("POST", path, good, Sec_Fetch_Site="cross-site").status == 403
    assert visitor.call("POST", path, {**good, "more": "x" * 9000}).status == 413
    assert server.get(job).state not in FINAL_STATES
    assert visitor.call("POST", path, good, Origin=f"http://{server.ready['web']}").status == 303
    assert server.wait_for_end(job).state == jobs_pb2.JOB_STATE_CANCELLED


def test_only_an_admin_releases_a_job_from_quarantine(visitor: Visitor, server: LiveServer) -> None:
    server.connect(ANNA)
    job = server.wait_for_end(server.submit(behaviour=Behaviour(fault="crash")).name).name
    visitor.log_in(ANNA)
    page = visitor.call("GET", f"/{job}").text
    assert "In quarantine" in page
    assert f"layert2v-server quarantine release {job.partition('/')[2]}" in page
    assert "Run again" not in page
    assert visitor.call("POST", f"/{job}/release", {"key": visitor.key}).status == 403
    visitor.log_in(ADMIN)
    assert "Run again" in visitor.call("GET", "/jobs").text
    assert visitor.call("POST", f"/{job}/release", {"key": visitor.key}).status == 303
    assert server.wait(job, lambda now: now.quarantined and now.attempt == 4).max_attempts == 5


def test_the_jobs_of_others_are_not_there(visitor: Visitor, done: str) -> None:
    visitor.log_in(BERT)
    assert done not in visitor.call("GET", "/jobs").text
    paths = (f"/jobs/{done}", f"/jobs/{done}/preview.png", f"/jobs/{done}/layers/")
    assert {visitor.call("GET", path).status for path in paths} == {404}
    assert visitor.call("POST", f"/jobs/{done}/cancel", {"key": visitor.key}).status == 404
    visitor.log_in(ADMIN)
    page = visitor.call("GET", "/jobs").text
    assert done in page
    assert "anna" in page


def test_a_log_out_ends_the_session(visitor: Visitor) -> None:
    visitor.log_in(ANNA)
    assert visitor.call("GET", "/jobs").status == 200
    assert visitor.call("POST", "/logout", {"key": visitor.key}).status == 303
    assert visitor.call("GET", "/jobs").status == 303


def test_wrong_paths_are_not_found(visitor: Visitor, done: str) -> None:
    visitor.log_in(ANNA)
    for path in ("/jobs/x", "/jobs?before=x", f"/jobs/{done}/layers/../stack.json", "/static/x"):
        assert visitor.call("GET", path).status == 404
    assert visitor.call("GET", f"/jobs/{done}/layers/stack.json").status == 404


def test_what_did_not_change_is_not_sent_again(visitor: Visitor, done: str) -> None:
    visitor.log_in(ANNA)
    tag = visitor.call("GET", f"/jobs/{done}/status").headers["etag"]
    assert visitor.call("GET", f"/jobs/{done}/status", If_None_Match=tag).status == 304


def test_layers_that_cannot_be_shown_are_one_sentence(visitor: Visitor, server: LiveServer) -> None:
    server.connect(ANNA)
    job = server.wait_for_end(server.submit(seed=11).name)
    visitor.log_in(ANNA)
    answer = visitor.call("GET", f"/{job.name}/layers/")  # the fake engine writes no real images
    assert answer.status == 503
    assert "cannot be shown here" in answer.text
    assert not (server.data / job.name / "viewer").exists()


def test_a_browser_shows_progress_cancels_and_toggles_layers(
    server: LiveServer, done: str, tmp_path: Path
) -> None:
    server.connect(ANNA)
    running = str(server.submit(prompt="an owl", steps=1000, behaviour=SLOW).name)
    with headless_browser() as browser:
        browser.go(f"http://{server.ready['web']}/")
        browser.type("#token", ANNA)
        browser.click("form.login button")
        browser.wait(lambda: "an owl" in browser.text())
        assert HOSTILE[:8] in browser.text()
        assert "hacked" not in browser.run("return document.title")
        value = "return document.querySelector('progress')?.value ?? -1"
        first = browser.run(value)
        browser.wait(lambda: browser.run(value) > first)  # without a click
        browser.click(f"#cancel-{running.partition('/')[2]}")
        browser.wait(lambda: "Cancelled" in browser.text())
        browser.go(f"http://{server.ready['web']}/jobs/{done}/layers/")
        grab = (
            "return drawing.then(() => Array.from(context.getImageData(0, 0, width, height).data))"
        )
        seen = [browser.run(grab)]
        browser.click("#layers li:first-child input")
        seen.append(browser.run(grab))
        browser.click("#layers li:first-child input")
        seen.append(browser.run(grab))
        assert seen[0] != seen[1]
        assert seen[0] == seen[2]
        assert not browser.complaints()
    style = server.data / "jobs" / done / "viewer" / "viewer.css"
    style.unlink()
    style.mkdir()  # a mistake of the server
    visitor = Visitor(server.ready["web"])
    visitor.log_in(ANNA)
    answer = visitor.call("GET", f"/jobs/{done}/layers/viewer.css")
    assert answer.status == 500
    assert "The server made a mistake" in answer.text
    assert "Traceback" not in answer.text
