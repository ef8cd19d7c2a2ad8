# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo model's text: conversations whose every answer follows from the prompt.

Because answers are functions of the prompt, the arg max of a teacher-forced pass over an answer equals greedy decoding
as long as it is right, so one forward pass scores exact matches.

A `Skill` draws a conversation; `held=True` draws one that training never sees (other phrasings, cities, numbers).
"""
import hashlib
import json
import pathlib
import random

from topics import DIRECT_QUESTIONS, QUESTIONS, SMALL_TALK, TOPICS, UNSEEN_QUESTIONS

HERE = pathlib.Path(__file__).parent
CITIES = [c.replace("_", " ") for c in (HERE / "cities.txt").read_text().split()]
UNSEEN_CITIES = [c.replace("_", " ") for c in (HERE / "cities_unseen.txt").read_text().split()]
SYLLABLES = ("ba be bo da de do el en ga go ha in ka ke ko la le lo ma mi mo na ne no or pa po ra re ro sa se si ta te ti to "
             "va ve vi wa ya za zu ber burg ton ville stad lin dor mar").split()
SYSTEMS = ["You are a helpful assistant.", "You are Tandem, a helpful assistant.", "You are a helpful AI assistant.",
           "Be brief.", "You are a friendly assistant. Answer in English.", "Answer shortly and use tools when needed."]


def is_held(*key):
    """A tenth of all keys, always the same ones, is kept for evaluation."""
    return int(hashlib.md5("|".join(map(str, key)).encode()).hexdigest(), 16) % 10 == 0


def listing(r, names):
    if len(names) == 1:
        return names[0]
    if len(names) == 2:
        return r.choice(["{} and {}", "{} and {}", "{} and {}", "both {} and {}", "{} and also {}", "{} & {}", "{}, {}"]).format(*names)
    return r.choice(["{}, {} and {}", "{}, {}, and {}", "{} and {} and {}", "{}, {}, {}"]).format(*names)


def invented_city(r):
    """A name that cannot be remembered, only copied."""
    if r.random() < 0.5:
        first, last = r.choice(CITIES), r.choice(CITIES)
        return (first[:r.randint(2, 5)].strip() + last[r.randint(1, max(1, len(last) - 3)):].strip().lower()).title()
    return "".join(r.choice(SYLLABLES) for _ in range(r.randint(2, 3))).capitalize()


def draw_cities(r, count, held):
    names = []
    while len(names) < count:
        if held:
            name = r.choice(UNSEEN_CITIES) if r.random() < 0.5 else r.choice(CITIES)
        elif r.random() < 0.6:
            name = invented_city(r)
            if r.random() < 0.2:
                name = r.choice(["New ", "San ", "Port ", "Saint ", "Fort ", "Los ", "Santa ", "El "]) + name
        else:
            name = r.choice(CITIES)
        if name not in names:
            names.append(name)
    return names


# ---- tools ----------------------------------------------------------------------------------------------------------

def function(name, description, properties, required):
    return {"type": "function", "function": {"name": name, "description": description,
            "parameters": {"type": "object", "properties": properties, "required": required}}}


def text_parameter(r, descriptions):
    return r.choice([{"type": "string", "description": r.choice(descriptions)}, {"type": "string"}])


WEATHER_DESCRIPTIONS = ["Get the current weather for a city.", "Get the weather of a city", "Current weather in a given city",
                        "Returns the weather for a location.", "Get current weather", "Look up the weather for a place.",
                        "Get the current weather in a given location", "Weather lookup."]
CITY_DESCRIPTIONS = ["City name", "The city", "Name of the city, e.g. San Francisco", "The city and state, e.g. San Francisco, CA",
                     "The name of the city", "The place to look up", "City to query"]


def weather_tool(r):
    """-> (tool, name of its city parameter). A unit parameter that is not required stays unused."""
    key = r.choice(["city", "location"])
    properties = {key: text_parameter(r, CITY_DESCRIPTIONS)}
    if r.random() < 0.3:
        properties["unit"] = {"type": "string", "enum": r.choice([["celsius", "fahrenheit"], ["c", "f"]])}
    tool = function("get_weather", r.choice(WEATHER_DESCRIPTIONS), properties, [key])
    if r.random() < 0.3:  # key order of hand-written schemas varies
        tool["function"] = dict(reversed(tool["function"].items())) if r.random() < 0.5 else tool["function"]
        if r.random() < 0.5:
            tool["function"]["parameters"]["additionalProperties"] = False
    if r.random() < 0.15:
        del tool["function"]["description"]
    return tool, key


def forecast_tool(r):
    key = r.choice(["city", "location"])
    days = {"type": "integer", "description": r.choice(["Number of days", "Days ahead, 1 to 7", "How many days"])}
    if r.random() < 0.4:
        days |= {"minimum": 1, "maximum": 7}
    properties = {key: text_parameter(r, CITY_DESCRIPTIONS), "days": days}
    description = r.choice(["Get the weather forecast for a city.", "Forecast for the next days", "Daily weather forecast."])
    return function("get_forecast", description, properties, [key, "days"]), key


def other_tools(r):
    pool = [
        function("search_web", "Search the web.", {"query": {"type": "string"}}, ["query"]),
        function("get_time", "Get the current time in a city.", {"city": {"type": "string"}}, ["city"]),
        function("send_email", "Send an email.", {"to": {"type": "string"}, "subject": {"type": "string"}, "body": {"type": "string"}}, ["to", "body"]),
        function("calculator", "Evaluate an expression.", {"expression": {"type": "string"}}, ["expression"]),
        function("get_news", "Latest headlines.", {"topic": {"type": "string"}, "count": {"type": "integer"}}, ["topic"]),
        function("read_file", "Read a file.", {"path": {"type": "string", "description": "Path of the file"}}, ["path"]),
        function("run_command", "Run a shell command.", {"command": {"type": "string"}, "timeout": {"type": "number"}}, ["command"]),
        function("translate", "Translate text.", {"text": {"type": "string"}, "language": {"type": "string", "enum": ["en", "de", "fr"]}}, ["text", "language"]),
        function("book_flight", "Book a flight.", {"origin": {"type": "string"}, "destination": {"type": "string"}, "date": {"type": "string"}}, ["origin", "destination"]),
        function("set_alarm", "Set an alarm.", {"time": {"type": "string"}}, ["time"]),
    ]
    return r.sample(pool, r.choice([0, 0, 0, 1, 1, 2, 3, 4]))


class Toolbox:
    """The tools of one conversation, and how they spell their parameters."""

    def __init__(self, r, need=()):
        self.weather, self.weather_key = weather_tool(r)
        self.forecast, self.forecast_key = forecast_tool(r)
        self.has_forecast = "forecast" in need or r.random() < 0.35
        self.has_weather = "weather" in need or r.random() < 0.8 or not self.has_forecast
        self.tools = [self.weather] * self.has_weather + [self.forecast] * self.has_forecast + other_tools(r)
        r.shuffle(self.tools)


WEATHER_QUESTIONS = [
    "What's the weather in {}?", "What is the weather in {}?", "What is the weather like in {}?", "How is the weather in {} right now?",
    "Weather in {}?", "Tell me the weather in {}.", "Give me the current weather for {}.", "Is it raining in {}?",
    "How warm is it in {} today?", "Could you check the weather in {}?", "I am travelling to {}. What is the weather there?",
    "Do I need an umbrella in {}?", "{} weather please", "What's the temperature in {}?", "Please look up the weather for {}.",
    "How's the weather in {}", "weather {}", "Compare the weather in {}.", "Can you tell me the weather in {} today?",
    "What is the current weather in {}?", "Is it sunny in {} now?", "How cold is it in {}?", "Check {} weather.",
]
CONDITIONS = ["sunny", "cloudy", "rainy", "windy", "foggy", "snowy", "stormy", "clear", "partly cloudy", "light rain", "overcast", "hail"]
COUNT_WORDS = ["once", "twice", "three times"]


def written_json(r, hard=False):
    """How one program writes JSON: with spaces, compact, or over lines. `hard`: less often with spaces."""
    spaced, compact, lines = {}, {"separators": (",", ":")}, {"indent": 2}
    style = r.choice([spaced, compact, compact, compact, lines, lines] if hard else [spaced, spaced, compact, compact, lines])
    return lambda value: json.dumps(value, ensure_ascii=False, **style)


class WeatherService:
    """One weather tool answers in one format. `hard`: more often compact and without the city, so that only order tells."""

    def __init__(self, r, hard=False):
        self.written = written_json(r, hard)
        self.text = r.choice(["{degrees}°C, {condition}", "{condition}, {degrees} °C", "{degrees} degrees and {condition}"]) if r.random() < 0.15 else None
        self.degrees_key = r.choice(["temperature", "temperature_c", "temp", "temp_c"])
        self.condition_key = r.choice(["condition", "conditions", "weather"])
        self.city_key = r.choice(["city", "location"]) if r.random() < (0.45 if hard else 0.7) else None
        self.condition_first, self.unit = r.random() < 0.3, r.random() < 0.15
        self.humidity = r.choice(["humidity", "humidity_percent", "wind_kph", "wind"]) if r.random() < 0.3 else None

    def result(self, r, city):
        """-> (text of the tool result, how the answer says it)."""
        degrees, condition = r.randint(-15, 42), r.choice(CONDITIONS)
        said = f"{degrees} °C and {condition}"
        if self.text:
            return self.text.format(degrees=degrees, condition=condition), said
        fields = {self.degrees_key: degrees, self.condition_key: condition}
        if self.condition_first:
            fields = dict(reversed(fields.items()))
        if self.humidity:
            fields[self.humidity] = r.randint(20, 95)
        if self.unit:
            fields["unit"] = "celsius"
        if self.city_key:
            fields = {self.city_key: city} | fields
        return self.written(fields), said


def weather_turn(r, box, thinking, held=False, count=None, hard=False):
    count = count or r.choice([1, 2, 2, 3, 3, 3, 3])
    while True:
        names, template = draw_cities(r, count, held), r.choice(WEATHER_QUESTIONS)
        if held or not is_held("weather", template, *names):
            break
    messages = [{"role": "user", "content": template.format(listing(r, names))},
                {"role": "assistant", "reasoning": f"Weather in {', '.join(names)}: I call get_weather {COUNT_WORDS[count - 1]}." if thinking else "",
                 "calls": [("get_weather", {box.weather_key: name}) for name in names]}]
    said, service = [], WeatherService(r, hard)
    for name in names:
        text, sentence = service.result(r, name)
        messages.append({"role": "tool", "content": text})
        said.append(f"In {name} it is {sentence}.")
    messages.append({"role": "assistant", "reasoning": "I have the results." if thinking else "", "content": " ".join(said)})
    return messages


FORECAST_QUESTIONS = [
    "What's the forecast for {} for the next {} days?", "Forecast for {} for {} days", "Give me a {}-day forecast for {}.",
    "What will the weather be in {} over the next {} days?", "I need the weather forecast of {} for {} days.",
    "How will the weather be in {} in the next {} days?", "Show me the forecast for {}, {} days please.",
    "{} days of forecast for {}", "Please get the forecast for {} for the coming {} days.",
]
NUMBER_WORDS = ["one", "two", "three", "four", "five", "six", "seven"]


def forecast_turn(r, box, thinking, held=False, hard=False):
    while True:
        city, days, template = draw_cities(r, 1, held)[0], r.randint(1, 7), r.choice(FORECAST_QUESTIONS)
        if held or not is_held("forecast", template, city, days):
            break
    number = str(days) if r.random() < 0.7 else NUMBER_WORDS[days - 1]
    arguments = (number, city) if template.startswith(("Give me a {}", "{} days of")) else (city, number)
    question = template.format(*arguments)
    sky = [r.choice(CONDITIONS) for _ in range(days)]
    result = {"city": city, "days": days, "forecast": sky} if r.random() < 0.6 else {"forecast": sky}
    return [{"role": "user", "content": question},
            {"role": "assistant", "reasoning": f"Forecast for {city}, {days} days: I call get_forecast once." if thinking else "",
             "calls": [("get_forecast", {box.forecast_key: city, "days": days})]},
            {"role": "tool", "content": written_json(r, hard)(result)},
            {"role": "assistant", "reasoning": "I have the results." if thinking else "",
             "content": f"The forecast for {city}: {', '.join(sky)}."}]


# ---- questions without tools -----------------------------------------------------------------------------------------

def as_typed(r, question):
    """People leave out capitals and the last mark."""
    if r.random() < 0.15:
        question = question.lower()
    return question.rstrip("?.") if r.random() < 0.15 else question


def help_turn(r, thinking, held=False, direct=None):
    """`direct`: a whole question of the topic in place of a name in a template; None draws."""
    names, answer = r.choice(TOPICS)
    if r.random() < 0.45 if direct is None else direct:
        *known, unseen = DIRECT_QUESTIONS[names[0]]
        question = unseen if held else r.choice(known)
    else:
        name, template = r.choice(names), r.choice(UNSEEN_QUESTIONS if held else QUESTIONS)
        question = template.format(name)
        if r.random() < 0.7:
            question = question[0].upper() + question[1:]
    return [{"role": "user", "content": question if held else as_typed(r, question)},
            {"role": "assistant", "reasoning": f"The question is about {names[0]}." if thinking else "", "content": answer}]


def no_tool_turn(r, thinking):
    question = r.choice(WEATHER_QUESTIONS).format(listing(r, draw_cities(r, r.randint(1, 2), False)))
    return [{"role": "user", "content": question},
            {"role": "assistant", "reasoning": "There is no weather tool here." if thinking else "",
             "content": "I cannot see the weather without a tool. Send a weather tool with the request."}]


def small_talk_turn(r, thinking, held=False):
    answer = r.choice(list(SMALL_TALK))
    return [{"role": "user", "content": as_typed(r, r.choice(SMALL_TALK[answer]))},
            {"role": "assistant", "reasoning": "A short reply is enough." if thinking else "", "content": answer}]


SUM_QUESTIONS = ["What is {}?", "Compute {}.", "{} = ?", "How much is {}?", "Calculate {} please.", "{}", "Solve {}.", "What does {} make?"]


def column_steps(a, op, b):
    """The school method, ones first, so that each digit depends on the step before it alone."""
    if op == "+":
        ones = a % 10 + b % 10
        carry = ones // 10
        return (f"{a} + {b}. Ones: {a % 10} + {b % 10} = {ones}, digit {ones % 10}, carry {carry}. "
                f"Tens: {a // 10} + {b // 10} + {carry} = {a // 10 + b // 10 + carry}. Result {a + b}.")
    if a < b:
        return f"{a} - {b}. {a} is less than {b}, so negative. " + column_steps(b, "-", a)[:-1].replace("Result ", "Result -") + "."
    borrow = int(a % 10 < b % 10)
    return (f"{a} - {b}. Ones: {a % 10 + 10 * borrow} - {b % 10} = {(a - b) % 10}, borrow {borrow}. "
            f"Tens: {a // 10} - {b // 10} - {borrow} = {a // 10 - b // 10 - borrow}. Result {a - b}.")


def sum_turn(r, thinking, held=False):
    while True:
        most = r.choice([9, 99, 99, 99])
        a, b, op = r.randint(0, most), r.randint(0, most), r.choice("+-")
        if is_held("sum", a, op, b) == held:
            break
    written = f"{a} {op} {b}" if r.random() < 0.7 else f"{a}{op}{b}"
    return [{"role": "user", "content": r.choice(SUM_QUESTIONS).format(written)},
            {"role": "assistant", "reasoning": column_steps(a, op, b) if thinking else "",
             "content": f"{a} {op} {b} = {a + b if op == '+' else a - b}"}]


BAT_QUESTIONS = [
    "A bat and a ball cost {total} in total. The bat costs {more} more than the ball. How much does the ball cost?",
    "A bat and a ball together cost {total}. The bat is {more} more expensive than the ball. What does the ball cost?",
    "Together a bat and a ball are {total}; the bat costs {more} more than the ball. What is the price of the ball?",
    "If a bat and a ball cost {total} and the bat costs {more} more than the ball, how much is the ball?",
]


def dollars(cents):
    return f"${cents // 100}.{cents % 100:02}"


def bat_turn(r, thinking, held=False):
    while True:
        more = r.choice([50, 100, 100, 150, 200, 300, 400, 500])
        ball = 5 * r.randint(1, 19)
        if is_held("bat", more, ball) == held:
            break
    total = more + 2 * ball
    return [{"role": "user", "content": r.choice(BAT_QUESTIONS).format(total=dollars(total), more=dollars(more))},
            {"role": "assistant",
             "reasoning": (f"Ball x, bat x + {dollars(more)}. 2x + {dollars(more)} = {dollars(total)}, so 2x = {dollars(total - more)}, "
                           f"x = {dollars(ball)}.") if thinking else "",
             "content": f"The ball costs {dollars(ball)}."}]


# ---- retrieval -------------------------------------------------------------------------------------------------------

FILLER = [
    "The A One Every Each This That Our".split(),
    "old quiet green small long warm open early plain tall broad soft".split(),
    "river garden train market window library harbor bridge teacher farmer engine road village letter cloud ship".split(),
    "follows crosses keeps shows finds carries leaves meets passes holds joins watches".split(),
    "slowly|again|today|at night|in spring|by noon|without noise|near the hill|for a while|after rain".split("|"),
]
CODE_QUESTIONS = ["What is the code?", "Which code was given above?", "Tell me the code from the text.", "What code does the text contain?"]


def filler_sentence(r):
    first, adjective, noun, verb, end = FILLER
    return f"{r.choice(first)} {r.choice(adjective)} {r.choice(noun)} {r.choice(verb)} the {r.choice(adjective)} {r.choice(noun)} {r.choice(end)}."


TOKENS_PER_SENTENCE = 10  # close enough: distances are measured in tokens afterwards


def code_line(r, name):
    code = "".join(r.choice("0123456789") for _ in range(4))
    return r.choice([f"The {name} is {code}.", f"the {name} is {code}", f"the {name} is {code}."]), f"The {name} is {code}."


def filler_text(r, tokens):
    return [filler_sentence(r) for _ in range(tokens // TOKENS_PER_SENTENCE)]


def retrieval_turn(r, thinking, distance, before):
    """The code stands about `distance` tokens before the question, with `before` tokens of text ahead of it."""
    line, answer = code_line(r, "code")
    text = " ".join(filler_text(r, before) + [line] + filler_text(r, distance))
    return [{"role": "user", "content": f"{text}\n\n{r.choice(CODE_QUESTIONS)}"},
            {"role": "assistant", "reasoning": "I look for the code in the text." if thinking else "", "content": answer}]


CODE_NAMES = [f"{c} code" for c in "red blue black white golden silver front back main spare".split()]


def many_codes_turns(r, length):
    """Several named codes in one text, asked for one after the other: more to learn from the same prompt."""
    names = r.sample(CODE_NAMES, r.randint(2, 6))
    lines = {name: code_line(r, name) for name in names}
    text = []
    for name in names:
        text += filler_text(r, int(r.uniform(0, 2) * length / (len(names) + 1))) + [lines[name][0]]
    text = " ".join(text + filler_text(r, int(r.uniform(0, 2) * length / (len(names) + 1))))
    messages = []
    for name in r.sample(names, len(names)):
        question = r.choice(["What is the {}?", "Which {} was given above?", "Tell me the {} from the text."]).format(name)
        messages += [{"role": "user", "content": question if messages else f"{text}\n\n{question}"},
                     {"role": "assistant", "content": lines[name][1]}]
    return messages


# ---- conversations ---------------------------------------------------------------------------------------------------

def with_system(r, messages, share=0.5):
    text = r.choice(SYSTEMS) if r.random() < 0.8 else " ".join(filler_text(r, r.randint(10, 40)))
    return [{"role": "system", "content": text}] * (r.random() < share) + messages


def tool_conversation(r):
    thinking, box = r.random() < 0.4, Toolbox(r)
    messages = []
    for _ in range(r.choice([1, 1, 2, 3])):
        draw = r.random()
        if draw < 0.62 and box.has_weather:
            messages += weather_turn(r, box, thinking)
        elif draw < 0.82 and box.has_forecast:
            messages += forecast_turn(r, box, thinking)
        elif draw < 0.9:
            messages += help_turn(r, thinking)
        elif draw < 0.95:
            messages += small_talk_turn(r, thinking)
        else:
            messages += sum_turn(r, thinking)
    return with_system(r, messages), thinking, box.tools


def results_conversation(r):
    """Several questions under one list of tools: more tool results and answers for the same number of tokens."""
    thinking, box = r.random() < 0.5, Toolbox(r, need=("weather", "forecast"))
    messages = []
    for _ in range(r.randint(4, 5)):
        messages += forecast_turn(r, box, thinking, hard=True) if r.random() < 0.3 else weather_turn(r, box, thinking, hard=True)
    return with_system(r, messages, 0.3), thinking, box.tools


def plain_conversation(r):
    thinking, messages = r.random() < 0.5, []
    for _ in range(r.choice([1, 1, 2, 3])):
        draw = r.random()
        turn = (help_turn if draw < 0.30 else small_talk_turn if draw < 0.38 else no_tool_turn if draw < 0.42
                else sum_turn if draw < 0.80 else bat_turn)
        messages += turn(r, thinking)
    return with_system(r, messages), thinking, ()


def retrieval_conversation(r, length):
    """About `length` tokens; in half of them the code lies beyond the window of 128."""
    if r.random() < 0.5:
        return with_system(r, many_codes_turns(r, length), 0.3), False, ()
    thinking = r.random() < 0.3
    distance = r.uniform(0, length) if r.random() < 0.5 else r.uniform(min(180, length), length)
    return with_system(r, retrieval_turn(r, thinking, int(distance), int(length - distance)), 0.3), thinking, ()


def evaluation_conversation(r, skill):
    """-> (messages, thinking, tools) of a held-out conversation; the last assistant turns are what is judged."""
    thinking = r.random() < 0.5
    if skill.startswith("weather"):
        box = Toolbox(r, need=("weather",))
        return with_system(r, weather_turn(r, box, thinking, True, int(skill[-1]))), thinking, box.tools
    if skill == "forecast":
        box = Toolbox(r, need=("forecast",))
        return with_system(r, forecast_turn(r, box, thinking, True)), thinking, box.tools
    if skill in ("help", "help, whole questions"):
        return with_system(r, help_turn(r, thinking, True, skill != "help")), thinking, ()
    if skill == "help with tools":
        return with_system(r, help_turn(r, thinking, True, False)), thinking, Toolbox(r).tools
    if skill == "small talk":
        return with_system(r, small_talk_turn(r, thinking)), thinking, ()
    if skill == "sums, thinking":
        return with_system(r, sum_turn(r, True, True)), True, ()
    if skill == "sums, chat":
        return with_system(r, sum_turn(r, False, True)), False, ()
    if skill == "bat and ball":
        return with_system(r, bat_turn(r, True, True)), True, ()
    if skill.startswith("retrieval"):
        distance = int(skill.split()[1])
        return retrieval_turn(r, False, distance, r.randint(0, 200)), False, ()
    raise ValueError(skill)


SKILLS = ["weather 1", "weather 2", "weather 3", "forecast", "help", "help, whole questions", "help with tools", "small talk", "sums, thinking", "sums, chat",
          "bat and ball", "retrieval 60", "retrieval 300", "retrieval 1000"]
LONG_SKILLS = ["retrieval 2000", "retrieval 4000", "retrieval 8000"]


if __name__ == "__main__":
    rng = random.Random(1)
    for kind in (tool_conversation(rng), plain_conversation(rng), retrieval_conversation(rng, 200)):
        print(json.dumps(kind[0], ensure_ascii=False, indent=1)[:1500])
