// SPDX-License-Identifier: GPL-3.0-or-later
// Conversations to prompts, and a model's text back to answers and calls.
#include <random>

#include <QTest>

#include "engine/tokenizer/chat_encoder.h"
#include "engine/tokenizer/chat_json.h"
#include "engine/tokenizer/chat_markup.h"
#include "engine/tokenizer/output_parser.h"
#include "engine/tokenizer/parsed_output.h"
#include "engine/tokenizer/strict_parser.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/unit/engine/tokenizer/test_files.h"

using namespace tandem;
using namespace tandem::tokenizer;

namespace {

const std::string kBos = "<｜begin▁of▁sentence｜>";
const std::string kEos = "<｜end▁of▁sentence｜>";

Result<Conversation> conversationFrom(const std::string& json) {
  const Result<JsonValue> request = parseJson(json);
  if (!request) {
    return request.error();
  }
  return conversationFromJson(*request);
}

Result<ChatPrompt> encode(const std::string& json, ChatDialect dialect = ChatDialect::V4Flash) {
  Result<Conversation> conversation = conversationFrom(json);
  if (!conversation) {
    return conversation.error();
  }
  return ChatEncoder(dialect).encode(std::move(*conversation));
}

std::string promptOf(const std::string& json, ChatDialect dialect = ChatDialect::V4Flash) {
  const Result<ChatPrompt> prompt = encode(json, dialect);
  return prompt ? prompt->text : "error: " + prompt.error().text();
}

constexpr const char* kWeatherTools = R"([{"type": "function", "function": {"name": "get_weather",
  "parameters": {"type": "object", "properties": {"city": {"type": "string"},
  "days": {"type": "integer"}}, "required": ["city"]}}}])";

OutputParserOptions withTools(bool thinking) {
  OutputParserOptions options;
  options.thinking = thinking;
  options.tools = declaredTools(kWeatherTools).value();
  return options;
}

/// Parses `text` in chunks of what `nextSize` says.
template <typename NextSize>
ParsedOutput parseInChunks(const std::string& text,
                           OutputParserOptions options,
                           EndOfOutput end,
                           NextSize nextSize) {
  OutputParser parser(std::move(options));
  OutputCollector collector;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = std::min<std::size_t>(nextSize(), text.size() - at);
    collector.add(parser.push(std::string_view(text).substr(at, size)));
    at += size;
  }
  collector.add(parser.finish(end));
  return collector.take();
}

ParsedOutput parse(const std::string& text,
                   OutputParserOptions options,
                   EndOfOutput end = EndOfOutput::Stop) {
  return parseInChunks(text, std::move(options), end, [&] { return text.size(); });
}

std::string wrapped(const std::string& calls) {
  return "<｜DSML｜tool_calls>\n" + calls + "</｜DSML｜tool_calls>";
}
std::string invoke(const std::string& name, const std::string& parameters) {
  return "<｜DSML｜invoke name=\"" + name + "\">\n" + parameters + "</｜DSML｜invoke>\n";
}
std::string parameter(const std::string& name, const std::string& value, bool isString = true) {
  return "<｜DSML｜parameter name=\"" + name + "\" string=\"" + (isString ? "true" : "false") +
         "\">" + value + "</｜DSML｜parameter>\n";
}

const ParsedToolCall kTokyo{"get_weather", R"({"city": "Tokyo"})"};
const std::string kTokyoCall = invoke("get_weather", parameter("city", "Tokyo"));

/// Texts of every kind of fault, for the properties that hold of all texts.
std::vector<std::string> corpus() {
  return {
      "",
      "plain answer\n\n\nwith lines\n\n",
      "why</think>Hello <b>world</b> a < b",
      "why\n\n</think>Sure.\n\n" + wrapped(kTokyoCall + kTokyoCall),
      "why</think>" +
          wrapped(invoke("get_weather",
                         parameter("city", "a\"\\\n<x>") + parameter("days", "3", false))),
      "I should call\n\n" + wrapped(kTokyoCall),
      "The tag `<｜DSML｜tool_calls>` opens\n<｜DSML｜tool_calls> or not</think>Fine.",
      "x</think>Calling: " + kTokyoCall + "and done",
      "x</think>A\n\n<｜DSML｜toolcalls>\n" + kTokyoCall + "</｜DSML｜toolcalls>",
      "x</think>" + invoke("unknown", parameter("a", "b")) + "rest",
      "x</think>" + wrapped("\n" + invoke("f", "\n")),
      "x</think>\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"get_weather\">\n"
      "<｜DSML｜parameter name=\"city\" string=\"true\">Tok",
      "x</think>\n\n" +
          wrapped(kTokyoCall + "<｜DSML｜invoke name=\"get_weather\">\nnonsense\n" + kTokyoCall),
      "x</think>\n\n<｜DSML｜tool_calls>\njust prose",
      "x</think>stray </｜DSML｜parameter> and </think> and <think>",
      "x</think><｜DSML｜what is this",
      "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"nope\">\n</think>Answer",
      std::string(600, '<') + "</think>" + kTokyoCall.substr(0, 20),
  };
}

}  // namespace

class ChatFormatTest : public QObject {
  Q_OBJECT

 private slots:
  void promptsEqualTheWorkedExamples_data() {
    QTest::addColumn<QByteArray>("request");
    QTest::addColumn<QByteArray>("prompt");
    const auto row = [](const char* name, const std::string& request, const std::string& prompt) {
      QTest::newRow(name) << QByteArray::fromStdString("{" + request + "}")
                          << QByteArray::fromStdString(kBos + prompt);
    };
    const std::string hi = R"("messages": [{"role": "user", "content": "Hi"}])";
    const std::string systemHi =
        R"("messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}])";
    const std::string threeTurns =
        R"("messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "A"},
           {"role": "assistant", "content": "B", "reasoning_content": "r1"},
           {"role": "user", "content": "C"}])";
    row("F1 chat", hi, "<｜User｜>Hi<｜Assistant｜></think>");
    row("F2 thinking", hi + R"(, "thinking": true)", "<｜User｜>Hi<｜Assistant｜><think>");
    row("F2 thinking, high",
        hi + R"(, "thinking": true, "reasoning_effort": "high")",
        "<｜User｜>Hi<｜Assistant｜><think>");
    row("F4 chat ignores max",
        systemHi + R"(, "reasoning_effort": "max")",
        "S<｜User｜>Hi<｜Assistant｜></think>");
    row("F5 chat, turns",
        threeTurns,
        "S<｜User｜>A<｜Assistant｜></think>B" + kEos + "<｜User｜>C<｜Assistant｜></think>");
    row("F6 past reasoning is dropped",
        threeTurns + R"(, "thinking": true)",
        "S<｜User｜>A<｜Assistant｜></think>B" + kEos + "<｜User｜>C<｜Assistant｜><think>");
    row("F7 past reasoning is kept",
        threeTurns + R"(, "thinking": true, "drop_thinking": false)",
        "S<｜User｜>A<｜Assistant｜><think>r1</think>B" + kEos +
            "<｜User｜>C<｜Assistant｜><think>");
    row("F8 two users",
        R"("messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "A"},
           {"role": "user", "content": "B"}])",
        "S<｜User｜>A\n\nB<｜Assistant｜></think>");
    row("F9 response format",
        R"("messages": [{"role": "system", "content": "S", "response_format": {"type":"object"}},
           {"role": "user", "content": "x"}])",
        "S\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n"
        "{\"type\": \"object\"}<｜User｜>x<｜Assistant｜></think>");
    row("F10 open end",
        R"("messages": [{"role": "user", "content": "x"},
           {"role": "assistant", "content": "The answer is", "wo_eos": true}])",
        "<｜User｜>x<｜Assistant｜></think>The answer is");
    row("F11 latest reminder",
        R"("thinking": true, "messages": [{"role": "system", "content": "S"},
           {"role": "latest_reminder", "content": "d"}, {"role": "user", "content": "x"}])",
        "S<｜latest_reminder｜>d<｜User｜>x<｜Assistant｜><think>");
    row("part lists",
        R"("messages": [{"role": "user", "content": [{"type": "text", "text": "a"},
           {"type": "image_url"}, {"type": "text", "text": "b"}]}])",
        "<｜User｜>a\n\n[Unsupported image_url]\n\nb<｜Assistant｜></think>");
    row("task",
        R"("messages": [{"role": "user", "content": "x", "task": "title"}])",
        "<｜User｜>x<｜title｜>");
  }
  void promptsEqualTheWorkedExamples() {
    QFETCH(QByteArray, request);
    QFETCH(QByteArray, prompt);
    QCOMPARE(promptOf(request.toStdString()), prompt.toStdString());
  }

  void toolHistoryEqualsTheWorkedExample() {
    // F12: parallel calls whose results arrive out of order.
    const std::string arguments =
        "{\"a\":\"x <y> & \\\"z\\\"\",\"n\":3,\"l\":[1,{\"k\":null}],\"b\":true}";
    const std::string history =
        R"({"role": "user", "content": "go"},
        {"role": "assistant", "reasoning_content": "think", "content": "Sure.", "tool_calls": [
          {"id": "c1", "function": {"name": "f", "arguments": )" +
        pythonJsonString(arguments) + R"(}},
          {"id": "c2", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c2", "content": "second"},
        {"role": "tool", "tool_call_id": "c1", "content": "first"})";
    const std::string calls =
        "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"f\">\n" +
        parameter("a", "x <y> & \"z\"") + parameter("n", "3", false) +
        parameter("l", "[1, {\"k\": null}]", false) + parameter("b", "true", false) +
        "</｜DSML｜invoke>\n<｜DSML｜invoke name=\"f\">\n\n</｜DSML｜invoke>\n"
        "</｜DSML｜tool_calls>" +
        kEos + "<｜User｜><tool_result>first</tool_result>\n\n<tool_result>second</tool_result>";
    const std::string withTools = promptOf(
        R"({"thinking": true, "tools": [{"type": "function", "function": {"name": "f"}},
        {"type": "web_search"}], "messages": [{"role": "system", "content": "S"}, )" +
        history + "]}");
    const std::string tail =
        "<｜User｜>go<｜Assistant｜><think>think</think>Sure." + calls + "<｜Assistant｜><think>";
    QVERIFY2(QByteArray::fromStdString(withTools).endsWith(QByteArray::fromStdString(tail)),
             withTools.c_str());
    QVERIFY(withTools.find("### Available Tool Schemas\n\n{\"name\": \"f\"}\n\nYou MUST") !=
            std::string::npos);
    QCOMPARE(withTools.find(kBos + "S\n\n## Tools\n\nYou have access"), 0U);
    const std::string followed =
        promptOf(R"({"messages": [)" + history + R"(, {"role": "user", "content": "and now?"}]})");
    QVERIFY(followed.find("second</tool_result>\n\nand now?<｜Assistant｜></think>") !=
            std::string::npos);
    // Without tools the merged results count as the last question: the reasoning is dropped.
    const std::string without = promptOf(R"({"thinking": true, "messages": [)" + history + "]}");
    QCOMPARE(without,
             kBos + "<｜User｜>go<｜Assistant｜></think>Sure." + calls + "<｜Assistant｜><think>");
  }

  void effortPrefixesFollowTheDialect() {
    const auto prompt = [](const char* effort, ChatDialect dialect) {
      return promptOf(R"({"thinking": true, "reasoning_effort": ")" + std::string(effort) +
                          R"(", "messages": [{"role": "user", "content": "Hi"}]})",
                      dialect);
    };
    const std::string bare = kBos + "<｜User｜>Hi<｜Assistant｜><think>";
    const std::string absolute = prompt("max", ChatDialect::V4Flash);
    QVERIFY(absolute.find(kBos + "Reasoning Effort: Absolute maximum") == 0);
    QVERIFY(absolute.find("remains unchecked.\n\n<｜User｜>") == std::string::npos);
    QVERIFY(absolute.find("is left unchecked.\n\n<｜User｜>Hi<｜Assistant｜><think>") !=
            std::string::npos);
    QCOMPARE(prompt("low", ChatDialect::V4Flash0731), bare);
    QCOMPARE(prompt("high", ChatDialect::V4Flash), bare);
    QCOMPARE(prompt("high", ChatDialect::V4Flash0731), absolute);
    const std::string beyond = prompt("max", ChatDialect::V4Flash0731);
    QVERIFY(beyond.find(kBos + "Reasoning Effort: Beyond maximum — exhaustive") == 0);
    QVERIFY(beyond.find("remains undiscovered.\n\n<｜User｜>Hi") != std::string::npos);
  }

  void promptsEqualTheOfficialEncodings() {
    const auto folder = sharedData() / "chat/encoding-tests";
    if (!std::filesystem::exists(folder)) {
      QSKIP("../shared/data/chat is not on this machine");
    }
    for (int i = 1; i <= 4; ++i) {
      const std::string number = std::to_string(i);
      std::string request = readFile(folder / ("test_input_" + number + ".json"));
      if (request[0] == '[') {
        request = "{\"messages\": " + request + "}";
      }
      Result<Conversation> conversation = conversationFrom(request);
      QVERIFY(conversation.ok());
      conversation->thinking = i == 4 ? ThinkingMode::Chat : ThinkingMode::Thinking;
      const auto prompt = ChatEncoder(ChatDialect::V4Flash).encode(std::move(*conversation));
      QVERIFY(prompt.ok());
      QCOMPARE(prompt->text, readFile(folder / ("test_output_" + number + ".txt")));
    }
  }

  void promptIdsEqualTheOfficialOnesInEveryMode() {
    const auto data = sharedData();
    if (!std::filesystem::exists(data / "chat/mode-vectors.json")) {
      QSKIP("../shared/data/chat is not on this machine");
    }
    const Result<Tokenizer> tokenizer = Tokenizer::load(data / "tokenizer");
    const Result<JsonValue> vectors = parseJson(readFile(data / "chat/mode-vectors.json"));
    QVERIFY(tokenizer.ok() && vectors.ok());
    for (const JsonValue& row : vectors->find("rows")->items()) {
      const std::string& mode = row.find("mode")->text();
      std::string text = row.find("prompt")->text();
      if (mode != "raw") {
        Conversation conversation;
        conversation.messages.push_back({"user", text, {}, {}, {}, {}, {}, {}, false});
        conversation.thinking = mode == "chat_chat" ? ThinkingMode::Chat : ThinkingMode::Thinking;
        conversation.effort =
            mode == "chat_thinking_max" ? ReasoningEffort::Max : ReasoningEffort::None;
        text = ChatEncoder(ChatDialect::V4Flash).encode(conversation).value().text;
      }
      const auto ids = tokenizer->encode(text, AddedTokens::Recognise);
      QVERIFY2(ids.ok() && *ids == idsFrom(*row.find("token_ids")), mode.c_str());
    }
  }

  void foreignRangesHoldExactlyWhatClientsWrote() {
    const Result<ChatPrompt> prompt = encode(
        R"({"messages": [{"role": "user", "content": "a</think>"},
        {"role": "assistant", "content": "b"}, {"role": "tool", "content": "c"}]})");
    std::string foreign;
    for (const TextRange& range : prompt->foreign) {
      foreign += prompt->text.substr(range.begin, range.end - range.begin) + "|";
    }
    QCOMPARE(foreign, "a</think>|b|c|");
  }

  void badConversationsAreRefusedWithTheirPlace_data() {
    QTest::addColumn<QByteArray>("request");
    QTest::addColumn<QByteArray>("named");
    const auto row = [](const char* request, const char* named) {
      QTest::newRow(request) << QByteArray(request) << QByteArray(named);
    };
    row(R"({"messages": []})", "messages is empty");
    row(R"({"messages": [{"role": "robot", "content": ""}]})", "messages[0].role is \"robot\"");
    row(R"({"messages": [{"role": "user", "content": 3}]})", "messages[0].content");
    row(R"({"messages": [{"role": "user", "content": [3]}]})", "messages[0].content[0].type");
    row(R"({"messages": [{"role": "user", "task": "x"}]})", "messages[0].task is \"x\"");
    row(R"({"messages": [{"role": "assistant", "tool_calls": [{}]}]})",
        "messages[0].tool_calls[0].function");
    row(R"({"messages": [{"role": "user"}], "tools": ["f"]})", "tools[0] is not an object");
    row(R"({"messages": [{"role": "user"}], "tools": {"f": 1}})", "tools is not an array");
    row(R"({"messages": [{"role": "user"}], "reasoning_effort": "huge"})", "huge");
  }
  void badConversationsAreRefusedWithTheirPlace() {
    QFETCH(QByteArray, request);
    QFETCH(QByteArray, named);
    const std::string prompt = promptOf(request.toStdString());
    QVERIFY2(prompt.find("error: ") == 0 && prompt.find(named.toStdString()) != std::string::npos,
             prompt.c_str());
  }

  void wellFormedAnswersAreReadAsTheStrictGrammarReadsThem() {
    const std::vector<std::string> texts{
        "r</think>c",
        "</think>",
        "r\n</think>line\n\nline\n",
        "r</think>Sure.\n\n" + wrapped(kTokyoCall),
        "r</think>\n\n" + wrapped(invoke("f", "\n") + kTokyoCall),
        "r</think>\n\n" +
            wrapped(invoke("get_weather",
                           parameter("city", "\"é\n") + parameter("days", "[1, 2]", false))),
    };
    for (const std::string& text : texts) {
      const Result<ParsedOutput> strict = parseStrictly(text + kEos, true);
      QVERIFY2(strict.ok(), text.c_str());
      QVERIFY2(parse(text, withTools(true)) == *strict, text.c_str());
    }
  }

  void theStrictGrammarForgivesNothing() {
    for (const std::string& text : std::vector<std::string>{
             std::string("no end of thinking"),
             "r</think>a</think>",
             "r</think>\n\n" + wrapped(kTokyoCall) + "more",
             "r</think>\n\n" + wrapped("x" + kTokyoCall),
             "r</think>\n\n" + wrapped(invoke("f", parameter("a", "1") + parameter("a", "2"))),
             "r</think>\n\n<｜DSML｜tool_calls>\n" + kTokyoCall,
         }) {
      QVERIFY2(!parseStrictly(text, true).ok(), text.c_str());
    }
  }

  void anyChunkingGivesTheSameResult() {
    std::mt19937 random(5);
    for (const std::string& text : corpus()) {
      for (const bool thinking : {true, false}) {
        for (const EndOfOutput end : {EndOfOutput::Stop, EndOfOutput::Length}) {
          const ParsedOutput whole = parse(text, withTools(thinking), end);
          for (std::size_t size = 1; size <= 8; ++size) {
            QVERIFY2(parseInChunks(text, withTools(thinking), end, [&] { return size; }) == whole,
                     text.c_str());
          }
          QVERIFY2(
              parseInChunks(text, withTools(thinking), end, [&] { return random() % 40; }) == whole,
              text.c_str());
        }
      }
    }
  }

  void markupNeverReachesTheContent() {
    for (const std::string& text : corpus()) {
      for (const bool thinking : {true, false}) {
        if (text.find("`<｜DSML｜") != std::string::npos) {
          continue;  // a quotation is text
        }
        const ParsedOutput output = parse(text, withTools(thinking));
        QVERIFY2(output.content.find("DSML") == std::string::npos, output.content.c_str());
        QVERIFY2(output.content.find("think>") == std::string::npos, output.content.c_str());
      }
    }
  }

  void argumentsAreAlwaysOneJsonObject() {
    for (const std::string& text : corpus()) {
      for (const ParsedToolCall& call : parse(text, withTools(true)).toolCalls) {
        const Result<JsonValue> arguments = parseJson(call.argumentsJson);
        QVERIFY2(arguments.ok() && arguments->isObject(), call.argumentsJson.c_str());
      }
    }
  }

  void aCallInsideTheReasoningEndsIt() {
    const ParsedOutput output = parse("I should look.\n\n" + wrapped(kTokyoCall), withTools(true));
    QCOMPARE(output.reasoning, "I should look.");
    QCOMPARE(output.content, "");
    QVERIFY(output.toolCalls == std::vector{kTokyo});
    QCOMPARE(output.finishReason, "tool_calls");
  }

  void quotedMarkupIsText() {
    const ParsedOutput reasoning =
        parse("A block opens with <｜DSML｜tool_calls> and\n" + invoke("nope", "") + "</think>Yes.",
              withTools(true));
    QVERIFY(reasoning.toolCalls.empty());
    QCOMPARE(reasoning.content, "Yes.");
    QVERIFY(reasoning.reasoning.find("<｜DSML｜tool_calls>") != std::string::npos);
    const ParsedOutput content = parse("Write `<｜DSML｜tool_calls>` first.", withTools(false));
    QCOMPARE(content.content, "Write `<｜DSML｜tool_calls>` first.");
    QCOMPARE(content.finishReason, "stop");
  }

  void aBareInvokeOfADeclaredToolIsRecovered() {
    const ParsedOutput output = parse("Looking.\n\n" + kTokyoCall, withTools(false));
    QVERIFY(output.toolCalls == std::vector{kTokyo});
    QCOMPARE(output.content, "Looking.");
    const ParsedOutput misspelt =
        parse("\n\n<｜DSML｜toolcalls>\n" + kTokyoCall + "</｜DSML｜toolcalls>", withTools(false));
    QVERIFY(misspelt.toolCalls == std::vector{kTokyo});
  }

  void nothingIsRecoveredThatTheClientCannotHaveMeant() {
    for (const std::string& text : std::vector<std::string>{
             invoke("unknown", parameter("city", "Tokyo")),
             invoke("get_weather", parameter("days", "3", false)),  // city is required
             kTokyoCall.substr(0, kTokyoCall.size() - 5),           // not closed
         }) {
      const ParsedOutput output = parse("Hm. " + text, withTools(false));
      QVERIFY2(output.toolCalls.empty(), text.c_str());
      QCOMPARE(output.finishReason, "stop");
      QVERIFY(!output.malformed.empty());
    }
  }

  void aTruncatedCallIsDroppedAndSaysSo() {
    const std::string text = "\n\n" + wrapped(kTokyoCall + kTokyoCall);
    const std::string cut = text.substr(0, text.rfind("kyo"));
    const ParsedOutput stopped = parse(cut, withTools(false), EndOfOutput::Stop);
    QVERIFY(stopped.toolCalls == std::vector{kTokyo});
    QCOMPARE(stopped.finishReason, "tool_calls");
    const ParsedOutput limited = parse(cut, withTools(false), EndOfOutput::Length);
    QVERIFY(limited.toolCalls == std::vector{kTokyo});
    QCOMPARE(limited.finishReason, "length");
    OutputParser parser(withTools(false));
    (void)parser.push(cut);
    const auto events = parser.finish(EndOfOutput::Length);
    QVERIFY(std::any_of(events.begin(), events.end(), [](const OutputEvent& event) {
      return event.kind == OutputEvent::Kind::ToolCallDropped && event.index == 1;
    }));
  }

  void stringArgumentsStreamAndOthersWaitUntilTheyAreWhole() {
    OutputParser parser(withTools(false));
    (void)parser.push("\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"get_weather\">\n");
    const auto begun = parser.push("<｜DSML｜parameter name=\"city\" string=\"true\">New ");
    QCOMPARE(begun.front().kind, OutputEvent::Kind::ToolCallBegin);
    QCOMPARE(begun.front().name, "get_weather");
    QCOMPARE(begun.back().text, "{\"city\": \"New ");
    QCOMPARE(parser.push("York</｜DSML｜parameter>\n").back().text, "York\"");
    QVERIFY(parser.push("<｜DSML｜parameter name=\"days\" string=\"false\">1").empty());
    QCOMPARE(parser.push("2</｜DSML｜parameter>\n").back().text, ", \"days\": 12");
    QCOMPARE(parser.push("</｜DSML｜invoke>").back().kind, OutputEvent::Kind::ToolCallEnd);
  }

  void valuesThatAreNotTheJsonTheyClaimBecomeStrings() {
    const ParsedOutput output =
        parse(wrapped(invoke("get_weather", parameter("city", "Tokyo, maybe", false))),
              withTools(false));
    QCOMPARE(output.toolCalls.at(0).argumentsJson, R"({"city": "Tokyo, maybe"})");
  }

  void argumentsWrappedInOneObjectAreUnwrapped() {
    const ParsedOutput output =
        parse(wrapped(invoke("get_weather", parameter("arguments", R"({"city":"Tokyo"})", false))),
              withTools(false));
    QVERIFY(output.toolCalls == std::vector{kTokyo});
  }

  void withoutToolsMarkupIsOrdinaryText() {
    const std::string text = "The tag <｜DSML｜tool_calls> opens it.";
    QCOMPARE(parse(text, OutputParserOptions{}).content, text);
  }

  void callsSurviveTheWayThroughPromptAndParser() {
    std::mt19937 random(11);
    const std::vector<std::string> parts{"\"",
                                         "\\",
                                         "\n\n",
                                         "<",
                                         "</",
                                         "｜",
                                         "&amp;",
                                         "{}",
                                         "é",
                                         "</tool_result>",
                                         "<tool_calls>",
                                         "`",
                                         "\t",
                                         " ",
                                         "x=1"};
    for (int round = 0; round < 200; ++round) {
      std::string value;
      for (auto i = random() % 12; i > 0; --i) {
        value += parts[random() % parts.size()];
      }
      std::string nested = R"({"k": [1, 2.5, )" + pythonJsonString(value) + "]}";
      const ParsedToolCall call{
          "get_weather",
          "{\"city\": " + pythonJsonString(value) + ", \"we ird\": " + nested + "}"};
      Conversation conversation;
      ChatMessage assistant;
      assistant.role = "assistant";
      assistant.content = "Sure.";
      assistant.toolCalls.push_back({"c1", call.name, call.argumentsJson});
      assistant.openEnd = true;
      conversation.messages.push_back(std::move(assistant));
      const std::string prompt =
          ChatEncoder(ChatDialect::V4Flash).encode(conversation).value().text;
      const std::string text = prompt.substr(kBos.size());
      const ParsedOutput output = parse(text, withTools(false));
      QCOMPARE(output.content, "Sure.");
      QVERIFY2(output.toolCalls == std::vector{call}, text.c_str());
      QVERIFY(*parseStrictly(text, false) == output);
    }
  }
};

QTEST_GUILESS_MAIN(ChatFormatTest)
#include "chat_format_test.moc"
