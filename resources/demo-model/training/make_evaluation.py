#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes evaluation.jsonl: held-out requests and what a right answer is, for evaluate_endpoint.py.

  make_evaluation.py [--seed 2026] [--out evaluation.jsonl]

A line is {"skill", "messages", "tools"?, "thinking", "expect", "unseen"?}. `expect` holds one of `calls` (with `results` and
`values` for the request after the calls), `text` (the whole answer) or `part` (of the answer, after a reasoning trace).
`unseen` marks weather and forecast requests that name a city from cities_unseen.txt. Requests of known cities only are
combinations of question and cities that `corpus.is_held` keeps out of training.
"""
import argparse
import json
import pathlib
import random

import corpus
from evaluation_questions import FRESH_HELP, FRESH_WEATHER
from topics import DIRECT_QUESTIONS, TOPICS, UNSEEN_QUESTIONS

HERE = pathlib.Path(__file__).resolve().parent
COUNT = 120


def is_new(names, key):
    return any(name in corpus.UNSEEN_CITIES for name in names) or corpus.is_held(*key)


def weather(r, count, templates=corpus.WEATHER_QUESTIONS):
    thinking, box = r.random() < 0.5, corpus.Toolbox(r, need=("weather",))
    while True:
        names, template = corpus.draw_cities(r, count, True), r.choice(templates)
        if templates is FRESH_WEATHER or is_new(names, ("weather", template, *names)):
            break
    service = corpus.WeatherService(r)
    results = [service.result(r, name) for name in names]
    return {"messages": [{"role": "user", "content": template.format(corpus.listing(r, names))}],
            "tools": box.tools, "thinking": thinking, "unseen": any(name in corpus.UNSEEN_CITIES for name in names),
            "expect": {"calls": [["get_weather", {box.weather_key: name}] for name in names],
                       "results": [text for text, _ in results],
                       "values": [f"{name} it is {said}" for name, (_, said) in zip(names, results)]}}


def forecast_template(question, city, days):
    """Which of the corpus's templates a question was made from."""
    for template in corpus.FORECAST_QUESTIONS:
        for number in (str(days), corpus.NUMBER_WORDS[days - 1]):
            if question in (template.format(city, number), template.format(number, city)):
                return template
    raise ValueError(question)


def forecast(r):
    thinking, box = r.random() < 0.5, corpus.Toolbox(r, need=("forecast",))
    while True:
        question, call, result, answer = corpus.forecast_turn(r, box, thinking, True)
        (name, arguments), = call["calls"]
        city = arguments[box.forecast_key]
        template = forecast_template(question["content"], city, arguments["days"])
        if is_new([city], ("forecast", template, city, arguments["days"])):
            break
    sky = answer["content"].split(": ", 1)[1].rstrip(".")
    return {"messages": [question], "tools": box.tools, "thinking": thinking, "unseen": city in corpus.UNSEEN_CITIES,
            "expect": {"calls": [[name, arguments]], "results": [result["content"]], "values": [sky]}}


def help_templates(r):
    names, answer = r.choice(TOPICS)
    question = r.choice(UNSEEN_QUESTIONS).format(r.choice(names))
    case = {"messages": [{"role": "user", "content": question}], "thinking": r.random() < 0.5, "expect": {"text": answer}}
    if r.random() < 0.3:
        case["tools"] = corpus.Toolbox(r).tools
    return case


def help_rows(r, question_of):
    return [{"messages": [{"role": "user", "content": question_of(names[0])}], "thinking": thinking, "expect": {"text": answer}}
            for names, answer in TOPICS for thinking in (False, True)]


def sums(r):
    question, answer = corpus.sum_turn(r, True, True)
    return {"messages": [question], "thinking": True, "expect": {"part": answer["content"].split("= ")[1], "trace": True}}


def bat(r):
    question, answer = corpus.bat_turn(r, True, True)
    return {"messages": [question], "thinking": True, "expect": {"part": answer["content"].split()[-1].rstrip("."), "trace": True}}


def requests(seed):
    r = random.Random(seed)
    cases = {f"weather, {count} {'city' if count == 1 else 'cities'}": [weather(r, count) for _ in range(COUNT)] for count in (1, 2, 3)}
    cases["weather, fresh questions"] = [weather(r, r.choice([1, 2]), FRESH_WEATHER) for _ in range(COUNT // 2)]
    cases["forecast"] = [forecast(r) for _ in range(COUNT)]
    cases["help, held-out templates"] = [help_templates(r) for _ in range(COUNT)]
    cases["help, held-out questions"] = help_rows(r, lambda name: DIRECT_QUESTIONS[name][-1])
    cases["help, fresh questions"] = help_rows(r, FRESH_HELP.get)
    cases["sums, thinking"] = [sums(r) for _ in range(COUNT)]
    cases["bat and ball"] = [bat(r) for _ in range(COUNT)]
    for skill, rows in cases.items():
        r.shuffle(rows)  # the first n of a skill are a fair sample
        for row in rows:
            yield {"skill": skill, **row}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--out", default=HERE / "evaluation.jsonl")
    arguments = parser.parse_args()
    with open(arguments.out, "w", encoding="utf-8") as file:
        for row in requests(arguments.seed):
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
