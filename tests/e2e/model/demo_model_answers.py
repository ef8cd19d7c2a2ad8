#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that the demo model is known to give, through two ranks and /v1, and the same tokens from one rank as from two.

  demo_model_answers.py path/to/tandem-engine MODEL_FOLDER

A small sample of what resources/demo-model/training/evaluate_endpoint.py measures: it shows that an engine has changed, not how good
a model is.
"""
import http.client
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import unittest

ENGINE, MODEL = "", ""
PATIENCE_S = 120


def tool(name, properties):
    return {"type": "function", "function": {"name": name, "description": f"Use {name}.",
            "parameters": {"type": "object", "properties": properties, "required": list(properties)}}}


WEATHER = tool("get_weather", {"city": {"type": "string", "description": "City name"}})
WEATHER["function"]["description"] = "Get the current weather for a city."
FORECAST = tool("get_forecast", {"location": {"type": "string"}, "days": {"type": "integer", "description": "Number of days"}})
FORECAST["function"]["description"] = "Get the weather forecast for a city."


def calls_of(message):
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls") or []]


class Chat(unittest.TestCase):
    """The claims are the names of the tests."""

    @classmethod
    def setUpClass(cls):
        cls.engine = subprocess.Popen([ENGINE, "serve", "--model", MODEL, "--ranks", "2", "--port", "0", "--threads", "1"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        printed, cls.port = "", None
        for line in cls.engine.stderr:
            printed += line
            ready = re.search(r"ready at http://127\.0\.0\.1:(\d+)/v1", line)
            if ready:
                cls.port = int(ready.group(1))
                break
        if cls.port is None:
            raise RuntimeError(f"the engine ended with {cls.engine.wait()} before it was ready:\n{printed}")
        cls.reader = threading.Thread(target=cls.engine.stderr.read)  # so that the engine never waits for us to read
        cls.reader.start()

    @classmethod
    def tearDownClass(cls):
        cls.engine.terminate()
        code = cls.engine.wait(PATIENCE_S)
        cls.reader.join()
        cls.engine.stderr.close()
        if code != 0:
            raise RuntimeError(f"the engine stopped with {code}")

    def ask(self, messages, **more):
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        body = {"model": "any", "temperature": 0, "max_tokens": 300, "messages": messages, **more}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        self.assertEqual(response.status, 200, text)
        return json.loads(text)["choices"][0]

    def test_two_cities_become_two_calls_and_the_results_become_the_answer(self):
        question = {"role": "user", "content": "What is the weather in Tokyo and New York?"}
        choice = self.ask([question], tools=[WEATHER])
        self.assertEqual(choice["finish_reason"], "tool_calls")
        self.assertEqual(calls_of(choice["message"]), [("get_weather", {"city": "Tokyo"}), ("get_weather", {"city": "New York"})])
        results = [{"city": "Tokyo", "temperature": 14, "condition": "cloudy"}, {"city": "New York", "temperature": 21, "condition": "sunny"}]
        told = [{"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)}
                for call, result in zip(choice["message"]["tool_calls"], results)]
        answer = self.ask([question, choice["message"], *told], tools=[WEATHER])
        self.assertEqual(answer["message"]["content"], "In Tokyo it is 14 °C and cloudy. In New York it is 21 °C and sunny.")

    def test_a_forecast_has_a_whole_number_of_days(self):
        choice = self.ask("What's the forecast for Lisbon for the next 3 days?", tools=[FORECAST, WEATHER])
        self.assertEqual(calls_of(choice["message"]), [("get_forecast", {"location": "Lisbon", "days": 3})])

    def test_help_stays_on_its_topic(self):
        for question, answer in [
                ("How do I pair the worker?",
                 "Open Cluster, choose the worker and enter its password once. Tandem installs a key and checks the cable."),
                ("What does OutOfMemory mean?",
                 "OutOfMemory means a node has too little free memory. Close other programs or shorten the context.")]:
            self.assertEqual(self.ask(question)["message"]["content"], answer)

    def test_a_sum_is_thought_through_before_it_is_answered(self):
        message = self.ask("What is 47 + 38?", thinking=True)["message"]
        self.assertIn("Ones: 7 + 8 = 15, digit 5, carry 1.", message["reasoning_content"])
        self.assertEqual(message["content"], "47 + 38 = 85")

    def test_a_code_beyond_the_window_is_found(self):
        text = "The old river follows the quiet garden slowly. " * 40  # about 400 tokens; the window has 128
        message = self.ask(f"The code is 4709. {text}\n\nWhat is the code?")["message"]
        self.assertEqual(message["content"], "The code is 4709.")


class Ranks(unittest.TestCase):
    def test_one_rank_and_two_give_the_same_tokens(self):
        questions = ["What is Tandem?", "What is 12 - 7?", "Who are you?"]
        asked = "".join(json.dumps({"messages": [{"role": "user", "content": q}], "thinking": k == 1}) + "\n" for k, q in enumerate(questions))
        encoded = subprocess.run([ENGINE, "encode-chat", "--model", MODEL], input=asked.encode(), stdout=subprocess.PIPE, check=True)
        prompts = {str(k): json.loads(line)["ids"] for k, line in enumerate(encoded.stdout.decode().splitlines())}
        answers = []
        with tempfile.TemporaryDirectory() as folder:
            tokens, out = pathlib.Path(folder, "tokens.json"), pathlib.Path(folder, "out.json")
            tokens.write_text(json.dumps(prompts))
            for ranks in ("1", "2"):
                subprocess.run([ENGINE, "generate", "--model", MODEL, "--tokens", str(tokens), "--max-tokens", "80", "--out", str(out),
                                "--ranks", ranks, "--threads", "1"], check=True, stderr=subprocess.DEVNULL)
                answers.append(json.loads(out.read_text()))
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(sorted(answers[0]), sorted(prompts))
        for new_ids in answers[0].values():
            self.assertGreater(len(new_ids), 4)


if __name__ == "__main__":
    ENGINE, MODEL = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1], verbosity=2)
