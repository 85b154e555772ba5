#!/usr/bin/env python3
"""`unroll serve`, as its clients see it: every path and every status code, answers that equal those
of the commands, streams, pipelining, half-closed and abandoned connections, limits, tokens, origins,
and the end of the server.

  serve_test.py PROGRAM [TEST...]
"""
import concurrent.futures
import json
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
from serving import (Server, ask, post_bytes, receive, receive_answer, train,  # noqa: E402
                     write_text)

PROGRAM = sys.argv[1]
FOLDER = tempfile.TemporaryDirectory()
RUNS = {}
TOKENS = ("word", "char", "byte")
ENDLESS = {"prompt": "he", "length": 4096, "seed": 1}  # long enough to be seen under way


def setUpModule():
    write_text(f"{FOLDER.name}/text")
    for tokens in TOKENS:
        RUNS[tokens] = train(PROGRAM, FOLDER.name, tokens)


def tearDownModule():
    FOLDER.cleanup()


def close(test, first, second, tolerance=1e-5):
    test.assertAlmostEqual(first, second, delta=tolerance * max(1, abs(second)))


class Answers(unittest.TestCase):
    """The same as the commands give."""

    def test_predict(self):
        for tokens in TOKENS:
            with Server(PROGRAM, RUNS[tokens]) as server:
                for text in ("he ate the", "", "Zoë saw the zzz", "he .\nshe"):
                    with self.subTest(tokens=tokens, text=text):
                        expected = ask(PROGRAM, RUNS[tokens], "predict", "--text", text)[0]
                        status, answer = server.post("/v1/predict", {"text": text})
                        self.assertEqual(status, 200)
                        self.assertEqual(answer["text"], text)
                        self.assertEqual(answer["next"], expected["next"])  # to the last digit

    def test_predict_of_a_word_and_what_is_unknown(self):
        with Server(PROGRAM, RUNS["word"]) as server:
            expected = ask(PROGRAM, RUNS["word"], "predict", "--text", "he ate the", "--word", "cake")[0]
            answer = server.post("/v1/predict", {"text": "he ate the", "word": "cake", "top": 3})[1]
            self.assertEqual(answer["word"], {"token": "cake", "id": expected["id"],
                                              "probability": expected["probability"],
                                              "rank": expected["rank"]})
            self.assertEqual(len(answer["next"]), 3)
            self.assertEqual(answer["unknown"], [])
            answer = server.post("/v1/predict", {"text": "yy he xx yy"})[1]
            self.assertEqual(answer["unknown"], ["yy", "xx"])

    def test_predict_after_each_token(self):
        words = "he ate the cake".split()
        with Server(PROGRAM, RUNS["word"]) as server:
            answer = server.post("/v1/predict", {"text": " ".join(words), "each": True, "top": 4})[1]
            self.assertEqual([step["token"] for step in answer["steps"]], words)
            for k, step in enumerate(answer["steps"]):
                after = server.post("/v1/predict", {"text": " ".join(words[:k + 1]), "top": 4})[1]
                before = server.post("/v1/predict",
                                     {"text": " ".join(words[:k]), "word": words[k]})[1]["word"]
                self.assertEqual(step["next"], after["next"])
                self.assertEqual({name: step[name] for name in before}, before)
            self.assertEqual(answer["next"], answer["steps"][-1]["next"])
            self.assertEqual(server.post("/v1/predict", {"text": "", "each": True})[1]["steps"], [])

    def test_score(self):
        texts = ["he ate the cake .", "", "she zzz the Zoë", "he saw"] * 5
        for tokens in TOKENS:
            expected = ask(PROGRAM, RUNS[tokens], "score", "--tokens",
                           text="".join(text + "\n" for text in texts))
            with Server(PROGRAM, RUNS[tokens], "--rows", "3") as server:
                status, answer = server.post("/v1/score", {"texts": texts, "tokens": True})
                self.assertEqual((status, len(answer["scores"])), (200, len(texts)))
                for score, line in zip(answer["scores"], expected):
                    self.assertEqual((score["tokens"], score["oov"]), (line["tokens"], line["oov"]))
                    close(self, score["logprob"], line["logprob"])
                    close(self, score["ppl"], line["ppl"])
                    for token, other in zip(score["token_scores"], line["token_logprobs"],
                                            strict=True):
                        self.assertEqual(token["token"], other["token"])
                        close(self, token["logprob"], other["logprob"])
                one = server.post("/v1/score", {"text": texts[2] + "\n"})[1]["scores"]
                self.assertEqual(one, [{name: value for name, value in answer["scores"][2].items()
                                        if name != "token_scores"}])
                self.assertEqual(server.post("/v1/score", {"texts": []}), (200, {"scores": []}))

    def test_generate(self):
        cases = (("--seed", "7"), ("--seed", "8", "--temperature", "0.7", "--top-k", "9"),
                 ("--seed", "18446744073709551615", "--top-p", "0.8", "--min-p", "0.05"),
                 ("--seed", "3", "--no-unk", "--prompt", "he ate"),
                 ("--seed", "4", "--stop", "the c", "--prompt", " she  saw"),
                 ("--seed", "5", "--temperature", "0", "--prompt", "Zoë zzz\nhe"))
        for tokens in TOKENS:
            with Server(PROGRAM, RUNS[tokens]) as server, \
                    concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
                questions = [self.question(case) for case in cases]
                answers = list(pool.map(lambda q: server.post("/v1/generate", q), questions))
                streams = list(pool.map(server.events, questions))
                for case, question, (status, answer), events in zip(cases, questions, answers,
                                                                    streams):
                    with self.subTest(tokens=tokens, case=case):
                        expected = ask(PROGRAM, RUNS[tokens], "generate", "--length", "60", *case)[0]
                        self.assertEqual(status, 200)
                        for name in ("text", "tokens", "finish"):
                            self.assertEqual(answer[name], expected[name])
                        self.assertEqual(answer["seed"], question["seed"])
                        for one, other in zip(answer["logprob"], expected["logprobs"], strict=True):
                            close(self, one, other)
                        *drawn, end = events
                        self.assertEqual(end, {"finish": answer["finish"], "seed": answer["seed"]})
                        self.assertEqual([event["token"] for event in drawn], answer["tokens"])
                        self.assertEqual([event["logprob"] for event in drawn], answer["logprob"])
                        pieces = "".join(event["text"] for event in drawn)
                        self.assertTrue(answer["text"].endswith(pieces))
                        self.assertEqual(pieces == "", not expected["tokens"])

    def test_what_may_begin_the_stop_string_is_given_at_the_end(self):
        with Server(PROGRAM, RUNS["char"]) as server:
            question = {"length": 9.0, "seed": 1.0}  # to JSON the numbers 9 and 1
            whole = server.post("/v1/generate", question)[1]
            question["stop"] = whole["text"][-1] + "\n\n\n"
            self.assertEqual(server.post("/v1/generate", question), (200, whole))
            pieces = "".join(event["text"] for event in server.events(question)[:-1])
            self.assertEqual(pieces, whole["text"])

    @staticmethod
    def question(flags):
        names = {"--no-unk": "no_unk", "--top-k": "top_k", "--top-p": "top_p", "--min-p": "min_p"}
        question, flags = {"length": 60}, list(flags)
        while flags:
            flag = flags.pop(0)
            name = names.get(flag, flag[2:])
            if flag == "--no-unk":
                question[name] = True
            elif flag in ("--prompt", "--stop"):
                question[name] = flags.pop(0)
            else:
                question[name] = json.loads(flags.pop(0))
        return question

    def test_a_fresh_seed_gives_its_text_again(self):
        with Server(PROGRAM, RUNS["char"]) as server:
            first, second = (server.post("/v1/generate", {"prompt": "he"})[1] for _ in range(2))
            self.assertNotEqual(first["seed"], second["seed"])
            self.assertLess(first["seed"], 2 ** 53)
            self.assertEqual(server.post("/v1/generate", {"prompt": "he", "seed": first["seed"]}),
                             (200, first))

    def test_many_at_once_are_what_they_are_alone(self):
        questions = [("/v1/generate", {"prompt": "he" * (k % 3), "length": 20 + k, "seed": k})
                     for k in range(40)]
        questions += [("/v1/score", {"texts": ["he ate the cake .", "she saw"] * (k % 7)})
                      for k in range(20)]
        questions += [("/v1/predict", {"text": "he ate " * (k % 5), "each": k % 2 == 0})
                      for k in range(20)]
        with Server(PROGRAM, RUNS["word"], "--rows", "7") as server:
            alone = [server.post(*question) for question in questions]
            with concurrent.futures.ThreadPoolExecutor(40) as pool:
                self.assertEqual(list(pool.map(lambda q: server.post(*q), questions)), alone)

    def test_other_paths(self):
        with Server(PROGRAM, RUNS["word"]) as server:
            status, fields, body = server.request("GET", "/?x=1")
            self.assertEqual((status, fields["Content-Type"]), (200, "text/html; charset=utf-8"))
            self.assertIn(b"<html", body)
            self.assertEqual(server.request("HEAD", "/")[1]["Content-Length"], str(len(body)))
            self.assertEqual(server.request("HEAD", "/")[2], b"")
            status, description = server.get("/openapi.json")
            self.assertEqual((status, description["openapi"][:2]), (200, "3."))
            status, health = server.get("/healthz")
            self.assertEqual((status, health["status"], health["active"], health["queued"]),
                             (200, "ok", 0, 0))
            self.assertEqual(sorted(health), ["active", "model", "queued", "status", "tokenizer", "tokens"])


class Refusals(unittest.TestCase):
    """Each status code, with a line that says why, and the server goes on."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM, RUNS["word"])

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def refused(self, status, answer, *words):
        self.assertEqual(answer[0], status, answer)
        self.assertEqual(list(answer[1]), ["error"])
        self.assertNotIn("\n", answer[1]["error"])
        for word in words:
            self.assertIn(word, answer[1]["error"])
        self.assertEqual(self.server.get("/healthz")[0], 200)

    def raw(self, data):
        with self.server.connect() as connection:
            connection.sendall(data)
            return receive_answer(connection)

    def test_400_of_fields(self):
        for path, question, *words in (
                ("/v1/predict", {}, "text is missing"),
                ("/v1/predict", [], "an array", "an object"),
                ("/v1/predict", {"text": 1}, "text: got 1", "a string"),
                ("/v1/predict", {"text": "a", "top": 0}, "top: got 0", "[1, 1000]"),
                ("/v1/predict", {"text": "a", "top": 1001}, "top: got 1001"),
                ("/v1/predict", {"text": "a", "top": 1.5}, "top: got 1.5", "whole number"),
                ("/v1/predict", {"text": "a", "each": 1}, "each: got 1", "true or false"),
                ("/v1/predict", {"text": "a", "wrod": "b"}, "unknown field 'wrod'",
                 "did you mean word"),
                ("/v1/score", {}, "neither text"),
                ("/v1/score", {"text": "a", "texts": ["a"]}, "both text and texts"),
                ("/v1/score", {"texts": "a"}, "texts: got string", "an array of strings"),
                ("/v1/score", {"texts": ["a", None]}, "texts: got an array with null"),
                ("/v1/generate", {"length": 0}, "length: got 0", "[1, 4096]"),
                ("/v1/generate", {"length": 4097}, "length: got 4097"),
                ("/v1/generate", {"temperature": -1}, "temperature: got -1"),
                ("/v1/generate", {"top_k": -1}, "top_k: got -1"),
                ("/v1/generate", {"top_p": 0}, "top_p: got 0"),
                ("/v1/generate", {"min_p": 2}, "min_p: got 2"),
                ("/v1/generate", {"seed": -1}, "seed: got -1"),
                ("/v1/generate", {"seed": 1.5}, "seed: got 1.5"),
                ("/v1/generate", {"stream": "yes"}, "stream: got \"yes\"")):
            with self.subTest(path=path, question=question):
                self.refused(400, self.server.post(path, question), *words)

    def test_400_of_json(self):
        for body in (b"", b"{", b'{"text":"a"} x', b'{"text":"a","text":"b"}', b'{"text":"\xff"}',
                     b'\xef\xbb\xbf{"text":"a"}', b'{"text":"a"}\0', b'{"text":"\\ud800"}',
                     b'{"text":"a","top":1e999}', b"[" * 100_000, b'{"text":NaN}'):
            with self.subTest(body=body[:20]):
                self.refused(400, self.raw(post_bytes("/v1/predict", body)))

    def test_400_of_http(self):
        host = b"Host: localhost\r\n"
        for data in (b"GET\r\n\r\n", b"GET / HTTP/2.0\r\n" + host + b"\r\n", b"\x16\x03\x01\0\0\r\n\r\n",
                     b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + host + host + b"\r\n",
                     b"GET / HTTP/1.1\r\n" + host + b"a b: c\r\n\r\n",
                     b"POST /v1/score HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n",
                     b"POST /v1/score HTTP/1.1\r\n" + host +
                     b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                     b"POST /v1/score HTTP/1.1\r\n" + host +
                     b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                     b"POST /v1/score HTTP/1.1\r\n" + host + b"Transfer-Encoding: gzip\r\n\r\n{}",
                     b"POST /v1/score HTTP/1.1\r\n" + host +
                     b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"):
            with self.subTest(data=data):
                self.refused(400, self.raw(data))

    def test_403_of_a_name_that_is_not_this_machine(self):
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1",
                     "127.evil.1.2", ""):
            with self.subTest(host=host):
                answer = self.raw(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                self.refused(403, answer, "Host: got")
        for host in ("localhost", "LOCALHOST:99", "127.0.0.1", "127.1.2.3:8080", "[::1]:80"):
            answer = self.raw(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            self.assertEqual(answer[0], 200, host)

    def test_404_and_405(self):
        self.refused(404, self.server.get("/v1/predictt"), "'/v1/predictt'")
        self.refused(404, self.server.post("/v1/predict/", {"text": "a"}))
        for method, path, allowed in (("POST", "/", "GET, HEAD"), ("GET", "/v1/score", "POST"),
                                      ("DELETE", "/v1/generate", "POST"),
                                      ("OPTIONS", "/v1/generate", "POST"), ("BREW", "/", "GET, HEAD")):
            status, fields, body = self.server.request(method, path)
            self.refused(405, (status, json.loads(body)), method, path)
            self.assertEqual(fields["Allow"], allowed)

    def test_408_and_closed_idle_connections(self):
        start = time.monotonic()
        with self.server.connect() as slow, self.server.connect() as half, \
                self.server.connect() as idle:
            slow.sendall(b"GET /heal")
            half.sendall(post_bytes("/v1/predict", {"text": "he"})[:-1])
            self.refused(408, receive_answer(slow), "10 seconds")
            self.refused(408, receive_answer(half), "10 seconds")
            self.assertEqual(receive(idle), b"")
            self.assertGreater(time.monotonic() - start, 9)

    def test_411_413_414_431(self):
        head = b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self.refused(411, self.raw(head + b"\r\n"), "Content-Length")
        self.refused(413, self.raw(head + b"Content-Length: 1048577\r\n\r\n"), "1048576 bytes")
        chunks = b"".join(b"8000\r\n" + b" " * 0x8000 + b"\r\n" for _ in range(33))
        self.refused(413, self.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks))
        self.refused(414, self.raw(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n"), "8192 bytes")
        self.refused(431, self.raw(b"GET / HTTP/1.1\r\nA: " + b"a" * 9000), "8192 bytes")
        self.refused(431, self.raw(b"GET / HTTP/1.1\r\n" + b"A: a\r\n" * 2000))

    def test_413_of_tokens(self):
        long = "he " * 8193
        self.refused(413, self.server.post("/v1/predict", {"text": long}), "8192")
        self.refused(413, self.server.post("/v1/generate", {"prompt": long}), "8192")
        self.refused(413, self.server.post("/v1/score", {"texts": ["he " * 5000] * 2}), "texts[1]")
        self.refused(413, self.server.post("/v1/predict", {"text": "he " * 100, "each": True,
                                                           "top": 1000}), "20000 entries")
        self.assertEqual(self.server.post("/v1/predict", {"text": "he " * 8192, "top": 1})[0], 200)

    def test_415(self):
        for kind in ("text/plain", "application/jsonp", "application/x-www-form-urlencoded", ""):
            status, _, body = self.server.request("POST", "/v1/score", b'{"text":"he"}',
                                                  {"Content-Type": kind})
            self.refused(415, (status, json.loads(body)), "application/json")
        for kind in ("application/json", "Application/JSON ; charset=utf-8"):
            self.assertEqual(self.server.request("POST", "/v1/score", b'{"text":"he"}',
                                                 {"Content-Type": kind})[0], 200)

    def test_422(self):
        for path, question, *words in (
                ("/v1/score", {"text": "he zzz", "strict": True}, "text: 'zzz'", "strict"),
                ("/v1/score", {"texts": ["he", "a\nb"]}, "texts[1]: got a newline at byte 2"),
                ("/v1/score", {"text": "he\0"}, "text: byte 3", "0x00"),
                ("/v1/predict", {"text": "he\0"}, "text: byte 3", "NUL"),
                ("/v1/predict", {"text": "he", "word": "zzz"}, "word: got 'zzz'"),
                ("/v1/generate", {"prompt": "\0"}, "prompt: byte 1")):
            with self.subTest(question=question):
                self.refused(422, self.server.post(path, question), *words)
        self.assertEqual(self.server.post("/v1/score", {"text": "he ate", "strict": True})[0], 200)


class Connections(unittest.TestCase):
    """HTTP's ways to send and to end."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM, RUNS["char"], "--rows", "2")

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def test_pipelined_requests_are_answered_in_order(self):
        questions = [{"prompt": "he", "length": 60 - k, "seed": k} for k in range(20)]
        alone = [self.server.post("/v1/generate", question) for question in questions]
        with self.server.connect() as connection:
            data = b"".join(post_bytes("/v1/generate", question) for question in questions)
            connection.sendall(data + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual([receive_answer(connection) for _ in questions], alone)
            self.assertEqual(receive_answer(connection)[1]["status"], "ok")

    def test_many_pipelined_requests_of_one_write(self):
        with self.server.connect() as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
            for _ in range(2000):
                self.assertEqual(receive_answer(connection)[0], 200)

    def test_bodies_in_pieces_and_chunks(self):
        expected = self.server.post("/v1/predict", {"text": "he ate"})
        data = post_bytes("/v1/predict", {"text": "he ate"})
        with self.server.connect() as connection:
            for k in range(len(data)):
                connection.sendall(data[k:k + 1])
            self.assertEqual(receive_answer(connection), expected)
            body = json.dumps({"text": "he ate"}).encode()
            connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                               b"application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            for k in range(0, len(body), 5):
                part = body[k:k + 5]
                connection.sendall(b"%x;note=x\r\n%s\r\n" % (len(part), part))
            connection.sendall(b"0\r\nTrailer: x\r\n\r\n")
            self.assertEqual(receive_answer(connection), expected)

    def test_expect_continue(self):
        head, body = post_bytes("/v1/predict", {"text": "he"}, "Expect: 100-continue").split(
            b"\r\n\r\n")
        with self.server.connect() as connection:
            connection.sendall(head + b"\r\n\r\n")
            self.assertEqual(connection.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(body)
            self.assertEqual(receive_answer(connection)[0], 200)

    def test_keep_alive_and_close(self):
        get = b"GET /healthz HTTP/1.%d\r\nHost: localhost\r\n%s\r\n"
        for minor, field, stays in ((1, b"", True), (1, b"Connection: close\r\n", False), (0, b"", False),
                                    (0, b"Connection: keep-alive\r\n", True)):
            with self.subTest(minor=minor, field=field), self.server.connect() as connection:
                connection.sendall(get % (minor, field))
                self.assertEqual(receive_answer(connection)[0], 200)
                if stays:
                    connection.sendall(get % (minor, field))
                    self.assertEqual(receive_answer(connection)[0], 200)
                else:
                    self.assertEqual(receive(connection), b"")

    def test_a_stream_of_http_1_0_ends_with_the_connection(self):
        data = post_bytes("/v1/generate", {"length": 5, "seed": 1, "stream": True})
        with self.server.connect() as connection:
            connection.sendall(data.replace(b"HTTP/1.1", b"HTTP/1.0"))
            answer = receive(connection)
        self.assertNotIn(b"chunked", answer)
        self.assertEqual(answer.count(b"data: "), 7)
        self.assertTrue(answer.endswith(b"data: [DONE]\n\n"))

    def test_a_stream_comes_as_it_is_drawn(self):
        with self.server.connect() as connection:
            connection.sendall(post_bytes("/v1/generate", {**ENDLESS, "stream": True}))
            data = b""
            while data.count(b"data: ") < 3:
                data += connection.recv(4096)
            health = self.server.get("/healthz")[1]
            self.assertEqual(health["active"] + health["queued"], 1)

    def test_a_half_closed_connection_is_answered(self):
        for question in ({"length": 10, "seed": 1}, {"length": 3000, "seed": 1}):
            expected = self.server.post("/v1/generate", question)
            with self.server.connect() as connection:
                connection.sendall(post_bytes("/v1/generate", question) * 2)
                connection.shutdown(socket.SHUT_WR)
                self.assertEqual([receive_answer(connection) for _ in range(2)], [expected] * 2)
                self.assertEqual(receive(connection), b"")
        with self.server.connect() as connection:
            connection.sendall(post_bytes("/v1/generate", {"length": 9, "stream": True}))
            connection.shutdown(socket.SHUT_WR)
            self.assertIn(b"data: [DONE]", receive(connection))

    def test_who_leaves_frees_the_row(self):
        """In much less time than the texts would take, of which two are read at once."""
        start = time.monotonic()
        self.server.post("/v1/generate", ENDLESS)
        whole = time.monotonic() - start
        clients = 60
        for stream in (False, True):
            for reset in (False, True):
                with self.subTest(stream=stream, reset=reset):
                    leaving = [self.server.connect() for _ in range(clients)]
                    for connection in leaving:
                        connection.sendall(post_bytes("/v1/generate", {**ENDLESS, "stream": stream}))
                    while self.under_way() < 50:
                        self.assertLess(time.monotonic() - start, 60)
                    for connection in leaving:
                        if reset:  # instead of FIN
                            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                  struct.pack("ii", 1, 0))
                        connection.close()
                    left = time.monotonic()
                    self.assertTrue(self.server.idle(60))
                    self.assertLess(time.monotonic() - left, 1 + whole * clients / 2 / 5)

    def under_way(self):
        health = self.server.get("/healthz")[1]
        return health["active"] + health["queued"]

    def test_a_reader_that_stops_is_waited_for_and_then_dropped(self):
        stopped = []
        for _ in range(4):
            connection = self.server.connect()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(post_bytes("/v1/generate", {**ENDLESS, "stream": True}))
            stopped.append(connection)
        end = time.monotonic() + 9
        while time.monotonic() < end:
            health = self.server.get("/healthz")[1]
            if (health["active"], health["queued"]) == (0, 4):
                break
        self.assertEqual((health["active"], health["queued"]), (0, 4))
        self.assertEqual(self.server.post("/v1/generate", {"length": 50})[0], 200)
        for connection in stopped[:1]:  # who goes on gets all
            data = b""
            while b"[DONE]" not in data:
                part = connection.recv(1 << 16)
                self.assertTrue(part)
                data += part
            self.assertEqual(data.count(b'"text":'), 4096)
        self.assertTrue(self.server.idle(30))
        for connection in stopped:
            connection.close()


class Access(unittest.TestCase):
    def test_a_token(self):
        with open(f"{FOLDER.name}/token", "w", encoding="ascii") as file:
            file.write("s3cret-Token\n")
        with Server(PROGRAM, RUNS["word"], "--token-file", f"{FOLDER.name}/token") as server:
            for given in (None, "Bearer", "Bearer ", "Bearer s3cret-Toke", "Bearer s3cret-Tokenn",
                          "Bearer S3cret-Token", "Basic s3cret-Token"):
                status, fields, _ = server.request(
                    "POST", "/v1/score", b'{"text":"he"}', {
                        "Content-Type": "application/json",
                        **({"Authorization": given} if given is not None else {})})
                self.assertEqual((status, fields["WWW-Authenticate"]), (401, "Bearer"), given)
            for given in ("Bearer s3cret-Token", "bearer s3cret-Token"):
                self.assertEqual(server.post("/v1/score", {"text": "he"}, Authorization=given)[0], 200)
            self.assertEqual(server.request("GET", "/")[0], 200)
            self.assertEqual(server.get("/healthz")[0], 200)
            # Who knows the token may use any name of the machine.
            self.assertEqual(server.request("GET", "/healthz", None, {"Host": "a.example"})[0], 200)

    def test_origins(self):
        def fields_of(server, method, origin):
            fields = server.request(method, "/v1/score", b'{"text":"he"}',
                                    {"Content-Type": "application/json", "Origin": origin})[1]
            return {name: value for name, value in fields.items() if name.startswith("Access-")}

        here, other = "https://a.example", "https://b.example"
        with Server(PROGRAM, RUNS["word"]) as server:
            self.assertEqual(fields_of(server, "POST", here), {})
            self.assertEqual(fields_of(server, "OPTIONS", here), {})
        allowed = {"Access-Control-Allow-Origin": here}
        preflight = {"Access-Control-Allow-Methods": "POST",
                     "Access-Control-Allow-Headers": "authorization, content-type"}
        with Server(PROGRAM, RUNS["word"], "--allow-origin", here) as server:
            self.assertEqual(fields_of(server, "POST", here), allowed)
            self.assertEqual(fields_of(server, "POST", other), {})
            self.assertEqual(fields_of(server, "OPTIONS", here), {**allowed, **preflight})
            self.assertEqual(server.request("OPTIONS", "/v1/score")[0], 204)
            self.assertEqual(server.request("GET", "/healthz")[1]["Vary"], "Origin")
        with Server(PROGRAM, RUNS["word"], "--allow-origin", "*") as server:
            self.assertEqual(fields_of(server, "POST", other), {"Access-Control-Allow-Origin": "*"})

    def test_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("this machine has no ::1")
        with Server(PROGRAM, RUNS["word"], "--host", "::1") as server:
            self.assertEqual(server.get("/healthz")[0], 200)


class Crowds(unittest.TestCase):
    def test_503_where_the_queue_is_full(self):
        most = 1 + 256
        with Server(PROGRAM, RUNS["char"], "--rows", "1") as server:
            clients = [server.connect(60) for _ in range(most)]
            for client in clients:
                client.sendall(post_bytes("/v1/generate", ENDLESS))
            end = time.monotonic() + 20
            while time.monotonic() < end:
                status, fields, body = server.request("POST", "/v1/score", b'{"text":"he"}',
                                                      {"Content-Type": "application/json"})
                if status == 503:
                    break
            self.assertEqual((status, fields["Retry-After"]), (503, "1"))
            self.assertIn(f"{most} requests", json.loads(body)["error"])
            while time.monotonic() < end:
                health = server.get("/healthz")[1]
                if health["active"] + health["queued"] == most:
                    break
            self.assertEqual(health["active"] + health["queued"], most)
            for client in clients:
                client.close()
            self.assertTrue(server.idle())
            self.assertEqual(server.post("/v1/score", {"text": "he"})[0], 200)

    def test_without_descriptors_it_goes_on_and_does_not_spin(self):
        import resource
        few = 40
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))  # noqa: E731
        with Server(PROGRAM, RUNS["word"], prepare=limit) as server:
            busy = [server.connect() for _ in range(20)]
            for client in busy:
                client.sendall(post_bytes("/v1/generate", {**ENDLESS, "length": 3000}))
            idle = [server.connect() for _ in range(80)]
            self.assertEqual([receive_answer(client)[0] for client in busy], [200] * 20)
            self.assertEqual(server.get("/healthz")[0], 200)  # an idle one makes room
            before = server.cpu_seconds()
            time.sleep(1)
            self.assertLess(server.cpu_seconds() - before, 0.5)
            for client in busy + idle:
                client.close()
            self.assertEqual(server.get("/healthz")[0], 200)


class Ends(unittest.TestCase):
    def test_what_is_under_way_is_answered(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Server(PROGRAM, RUNS["char"]) as server, server.connect() as idle, \
                    server.connect() as asking, server.connect() as reading:
                asking.sendall(post_bytes("/v1/generate", {**ENDLESS, "length": 1500}))
                reading.sendall(post_bytes("/v1/generate",
                                           {**ENDLESS, "length": 1500, "stream": True}))
                reading.recv(1)
                server.process.send_signal(number)
                status, answer = receive_answer(asking)
                self.assertEqual((status, len(answer["tokens"])), (200, 1500))
                self.assertIn(b"[DONE]", receive(reading))
                self.assertEqual(receive(idle), b"")
                self.assertEqual(server.process.wait(10), 0)
                with self.assertRaises(OSError):
                    server.connect()

    def test_an_idle_server_ends_soon(self):
        with Server(PROGRAM, RUNS["char"]) as server:
            start = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertLess(time.monotonic() - start, 3)

    def test_who_does_not_read_cannot_keep_it(self):
        with Server(PROGRAM, RUNS["char"]) as server, server.connect() as stopped:
            stopped.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stopped.sendall(post_bytes("/v1/generate", {**ENDLESS, "stream": True}))
            stopped.recv(1)
            start = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertLess(time.monotonic() - start, 15)

    def test_a_second_signal_ends_it_at_once(self):
        with Server(PROGRAM, RUNS["char"], "--rows", "1") as server:
            clients = [server.connect() for _ in range(50)]
            for client in clients:
                client.sendall(post_bytes("/v1/generate", ENDLESS))
            while server.get("/healthz")[1]["queued"] < 40:
                pass
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            self.assertEqual(server.stop(signal.SIGTERM), 128 + signal.SIGTERM)
            for client in clients:
                client.close()


class BadStarts(unittest.TestCase):
    """One line on stderr, beside the one that names the device."""

    def fails(self, status, words, *flags, run=None):
        done = subprocess.run([PROGRAM, "serve", "--device", "cpu", "--checkpoint",
                               run or RUNS["word"], "--port", "0", *flags], capture_output=True,
                              text=True, timeout=60)
        lines = [line for line in done.stderr.splitlines()
                 if not line.startswith(("device: ", "warning: all that reach"))]
        self.assertEqual((done.returncode, len(lines), done.stdout), (status, 1, ""), done.stderr)
        self.assertIn(words, lines[0])

    def test_ports_and_addresses(self):
        with Server(PROGRAM, RUNS["word"]) as server:
            self.fails(1, f"127.0.0.1:{server.port}: cannot be listened on: Address already in use",
                       "--port", str(server.port))
        self.fails(1, "'nowhere', expected an IP address or localhost", "--host", "nowhere")
        self.fails(1, "cannot be listened on", "--host", "203.0.113.7")
        self.fails(2, "--port: got 65536", "--port", "65536")
        self.fails(2, "--rows: got 0", "--rows", "0")
        if os.getuid() != 0:
            self.fails(1, "cannot be listened on: Permission denied", "--port", "1")

    def test_tokens_and_origins(self):
        for content, words in (("", "no token"), ("a b", "other characters"), ("a\nb\n", "other"),
                               ("ä", "other"), ("a" * 600, "longer")):
            with open(f"{FOLDER.name}/bad-token", "w", encoding="utf-8") as file:
                file.write(content)
            self.fails(1, words, "--token-file", f"{FOLDER.name}/bad-token")
        self.fails(1, "none.txt", "--token-file", f"{FOLDER.name}/none.txt")
        for origin in ("example.org", "https://", "https://a/", "https://a b", "https://a\r\nb: c"):
            self.fails(2, "--allow-origin", "--allow-origin", origin)

    def test_another_task(self):
        table = f"{FOLDER.name}/table.csv"
        with open(table, "w", encoding="ascii") as file:
            file.write("y\n" + "".join(f"{math.sin(k / 3)}\n" for k in range(300)))
        run = f"{FOLDER.name}/series"
        subprocess.run([PROGRAM, "train", "--task", "series", "--device", "cpu", "--data", table,
                        "--target", "y", "--horizon", "2", "--bptt", "8", "--nhid", "8", "--epochs",
                        "1", "--save", run], check=True, capture_output=True, timeout=60)
        self.fails(1, "language_model", run=run)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], warnings="ignore")
