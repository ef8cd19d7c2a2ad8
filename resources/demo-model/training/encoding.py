# SPDX-License-Identifier: GPL-3.0-or-later
"""The official chat format, as far as the corpus needs it: which text a model sees, and which part it writes.

The engine's encoder (engine/tokenizer) is the complete one.
"""
import json

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
USER, ASSISTANT, DSML = "<｜User｜>", "<｜Assistant｜>", "｜DSML｜"
THINK, END_THINK = "<think>", "</think>"

TOOLS_BLOCK = """## Tools

You have access to a set of tools to help answer the user's question. You can invoke tools by writing a \
"<｜DSML｜tool_calls>" block like the following:

<｜DSML｜tool_calls>
<｜DSML｜invoke name="$TOOL_NAME">
<｜DSML｜parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</｜DSML｜parameter>
...
</｜DSML｜invoke>
<｜DSML｜invoke name="$TOOL_NAME2">
...
</｜DSML｜invoke>
</｜DSML｜tool_calls>

String parameters should be specified as is and set `string="true"`. For all other types (numbers, booleans, arrays, \
objects), pass the value in JSON format and set `string="false"`.

If thinking_mode is enabled (triggered by <think>), you MUST output your complete reasoning inside <think>...</think> \
BEFORE any tool calls or final response.

Otherwise, output directly after </think> with tool calls or final response.

### Available Tool Schemas

{schemas}

You MUST strictly follow the above defined tool name and parameter schemas to invoke tool calls.
"""


def render_calls(calls):
    """The tool-call part of an assistant turn. calls: [(name, {parameter: value})]."""
    def parameter(key, value):
        is_text = isinstance(value, str)
        text = value if is_text else json.dumps(value, ensure_ascii=False)
        flag = "true" if is_text else "false"
        return f'<{DSML}parameter name="{key}" string="{flag}">{text}</{DSML}parameter>'

    invokes = [
        f'<{DSML}invoke name="{name}">\n'
        + "\n".join(parameter(k, v) for k, v in arguments.items())
        + f"\n</{DSML}invoke>"
        for name, arguments in calls
    ]
    return f"\n\n<{DSML}tool_calls>\n" + "\n".join(invokes) + f"\n</{DSML}tool_calls>"


def render(messages, thinking, tools=()):
    """-> [(text, is_target)]: the prompt in pieces, marked where the assistant writes, that tokenize as the whole does.

    What stands between two assistant turns is one piece: the tokenizer takes the marks at the end of a tool result and the
    newlines before the next one together. Every border left has a special token on one of its sides.

    Messages are dicts with role system, user, assistant or tool; assistant has content, reasoning and calls. Tool results
    follow the order of their calls. With tools the reasoning of every turn is kept, without them only that of the last.
    """
    keep_all = bool(tools)
    last_user = max(i for i, m in enumerate(messages) if m["role"] in ("user", "tool"))
    if tools and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": ""}] + messages
        last_user += 1
    out, context = [], BOS
    for i, message in enumerate(messages):
        role = message["role"]
        if role == "system":
            text = message["content"]
            if tools:
                schemas = "\n".join(json.dumps(t["function"], ensure_ascii=False) for t in tools)
                text += "\n\n" + TOOLS_BLOCK.replace("{schemas}", schemas)
            context += text
        elif role in ("user", "tool"):
            text = message["content"] if role == "user" else f"<tool_result>{message['content']}</tool_result>"
            previous_role = messages[i - 1]["role"] if i else None
            text = ("\n\n" if previous_role in ("user", "tool") else USER) + text
            if i + 1 == len(messages) or messages[i + 1]["role"] == "assistant":
                text += ASSISTANT + (THINK if thinking and (keep_all or i >= last_user) else END_THINK)
            context += text
        else:
            text = ""
            if thinking and (keep_all or i > last_user):
                text = message.get("reasoning", "") + END_THINK
            text += message.get("content", "")
            if message.get("calls"):
                text += render_calls(message["calls"])
            out += [(context, False), (text + EOS, True)]
            context = ""
    return out + [(context, False)] if context else out
