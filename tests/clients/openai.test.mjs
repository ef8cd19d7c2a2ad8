// SPDX-License-Identifier: GPL-3.0-or-later
// The npm package `openai` as client: what an agent built on it gets from this server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { startFakeServer } from './fake_server.mjs';

const weatherTool = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather in a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const ask = (content) => [{ role: 'user', content }];

let server;
let client;

before(async () => {
  server = await startFakeServer();
  client = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
});
after(() => server.stop());

test('a whole answer with its usage', async () => {
  const completion = await client.chat.completions.create({ model: 'any-name', messages: ask('hello') });
  assert.equal(completion.object, 'chat.completion');
  assert.equal(completion.choices[0].message.content, 'Hello, 世界! How are you?');
  assert.equal(completion.choices[0].finish_reason, 'stop');
  assert.equal(completion.usage.total_tokens, completion.usage.prompt_tokens + completion.usage.completion_tokens);
  assert.equal(completion.usage.completion_tokens, Buffer.byteLength('Hello, 世界! How are you?'));
  assert.equal(completion.timings.predicted_n, completion.usage.completion_tokens);
});

test('a stream gives the same text, then usage in a chunk without choices', async () => {
  const stream = await client.chat.completions.create({
    model: 'm',
    messages: ask('hello'),
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let role;
  let reason;
  let usage;
  for await (const chunk of stream) {
    assert.equal(chunk.object, 'chat.completion.chunk');
    if (chunk.choices.length === 0) {
      usage = chunk.usage;
      continue;
    }
    assert.equal(chunk.usage, null);
    role ??= chunk.choices[0].delta.role;
    text += chunk.choices[0].delta.content ?? '';
    reason = chunk.choices[0].finish_reason ?? reason;
  }
  assert.equal(role, 'assistant');
  assert.equal(text, 'Hello, 世界! How are you?');
  assert.equal(reason, 'stop');
  assert.equal(usage.completion_tokens, Buffer.byteLength(text));
});

for (const stream of [false, true]) {
  test(`two parallel tool calls and the answer to their results, stream: ${stream}`, async () => {
    const cities = [];
    const runner = client.chat.completions.runTools({
      model: 'm',
      stream,
      messages: ask('What is the weather in Tokyo and New York?'),
      tools: [
        {
          type: 'function',
          function: {
            ...weatherTool.function,
            parse: JSON.parse,
            function: ({ city }) => {
              cities.push(city);
              return city === 'Tokyo' ? '18 degrees' : '9 degrees';
            },
          },
        },
      ],
    });
    assert.equal(await runner.finalContent(), 'Tokyo has 18 degrees, New York has 9.');
    assert.deepEqual(cities, ['Tokyo', 'New York']);
    const calls = runner.messages.find((message) => message.tool_calls).tool_calls;
    assert.equal(calls.length, 2);
    for (const call of calls) assert.match(call.id, /^call[A-Za-z0-9]{24}$/);
    assert.notEqual(calls[0].id, calls[1].id);
  });
}

test('only tool calls leave no markup in the content', async () => {
  const completion = await client.chat.completions.create({
    model: 'm',
    messages: ask('weather?'),
    tools: [weatherTool],
  });
  const { message, finish_reason: reason } = completion.choices[0];
  assert.equal(reason, 'tool_calls');
  assert.equal(message.content, 'Let me look.');
  assert.deepEqual(
    message.tool_calls.map((call) => JSON.parse(call.function.arguments)),
    [{ city: 'Tokyo' }, { city: 'New York' }],
  );
});

test('one call at a time when parallel calls are not wanted', async () => {
  const completion = await client.chat.completions.create({
    model: 'm',
    messages: ask('weather?'),
    tools: [weatherTool],
    parallel_tool_calls: false,
  });
  assert.equal(completion.choices[0].message.tool_calls.length, 1);
  assert.equal(completion.choices[0].finish_reason, 'tool_calls');
});

test('reasoning is a field of its own, and counted', async () => {
  const request = { model: 'm', messages: ask('think hard'), reasoning_effort: 'high' };
  const whole = await client.chat.completions.create(request);
  assert.equal(whole.choices[0].message.reasoning_content, 'Five cents and a dollar more.');
  assert.equal(whole.choices[0].message.content, 'The ball costs 5 cents: 5¢.');
  assert.equal(whole.usage.completion_tokens_details.reasoning_tokens, 29);
  assert.equal(whole.usage.prompt_tokens_details.cached_tokens, 10);
  assert.equal(whole.usage.prompt_cache_hit_tokens, 10);

  let reasoning = '';
  let content = '';
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    reasoning += chunk.choices[0].delta.reasoning_content ?? '';
    content += chunk.choices[0].delta.content ?? '';
  }
  assert.equal(reasoning, whole.choices[0].message.reasoning_content);
  assert.equal(content, whole.choices[0].message.content);
});

test('max_tokens and stop end an answer', async () => {
  const short = await client.chat.completions.create({ model: 'm', messages: ask('hello'), max_tokens: 5 });
  assert.equal(short.choices[0].message.content, 'Hello');
  assert.equal(short.choices[0].finish_reason, 'length');
  const stopped = await client.chat.completions.create({ model: 'm', messages: ask('hello'), stop: ['How'] });
  assert.equal(stopped.choices[0].message.content, 'Hello, 世界! ');
  assert.equal(stopped.choices[0].finish_reason, 'stop');
});

const colours = ['It is red.', 'It is a warm yellow.', 'It is blue.'];

test('n choices have the seeds seed, seed + 1, …', async () => {
  const completion = await client.chat.completions.create({ model: 'm', messages: ask('vary'), n: 3, seed: 1 });
  assert.deepEqual(
    completion.choices.map((choice) => choice.index),
    [0, 1, 2],
  );
  assert.deepEqual(
    completion.choices.map((choice) => choice.message.content),
    [colours[1], colours[2], colours[0]],
  );
  assert.equal(completion.usage.completion_tokens, colours.join('').length);
});

test('n choices are streamed by index, and each one ends', async () => {
  // The client's own collector: it fails on chunks that do not fit together.
  const stream = client.chat.completions.stream({
    model: 'm',
    messages: ask('vary'),
    n: 3,
    seed: 0,
    stop: ['warm'],
    stream_options: { include_usage: true },
  });
  const completion = await stream.finalChatCompletion();
  assert.deepEqual(
    completion.choices.map((choice) => choice.message.content),
    [colours[0], 'It is a ', colours[2]],
  );
  for (const choice of completion.choices) assert.equal(choice.finish_reason, 'stop');
});

test('more choices than are supported are refused with the limit', async () => {
  await assert.rejects(client.chat.completions.create({ model: 'm', messages: ask('hello'), n: 9 }), (error) => {
    assert(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, 'n');
    assert.match(error.message, /n: 9 is outside 1 to 8/);
    return true;
  });
});

for (const stream of [false, true]) {
  test(`logprobs cover the content byte by byte, stream: ${stream}`, async () => {
    const request = { model: 'm', messages: ask('hello'), logprobs: true, top_logprobs: 3 };
    const { choices } = stream
      ? await client.chat.completions.stream(request).finalChatCompletion()
      : await client.chat.completions.create(request);
    const { content } = choices[0].logprobs;
    const bytes = Buffer.from(content.flatMap((token) => token.bytes));
    assert.equal(bytes.toString('utf8'), choices[0].message.content);
    assert.equal(content[3].token, 'l');
    assert.equal(content[3].logprob, -0.75);
    assert.deepEqual(
      content[3].top_logprobs.map((token) => [token.token, token.logprob]),
      [
        ['l', -0.75],
        ['m', -1.75],
        ['n', -2.75],
      ],
    );
  });
}

test('logit_bias reaches the engine by token id', async () => {
  // The scripted engine's token of a byte is 3 + byte, and it leaves out what is biased by -100.
  const letter = (character) => String(3 + character.charCodeAt(0));
  const completion = await client.chat.completions.create({
    model: 'm',
    messages: ask('hello'),
    logit_bias: { [letter('l')]: -100, [letter('o')]: -99 },
  });
  assert.equal(completion.choices[0].message.content, 'Heo, 世界! How are you?');
  await assert.rejects(
    client.chat.completions.create({ model: 'm', messages: ask('hello'), logit_bias: { foo: 1 } }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === 'logit_bias.foo',
  );
});

test('a stop string is cut out wherever the tokens end, whole and streamed alike', async () => {
  for (const stop of ['world', '界', ' How', ['are', '! H'], '?']) {
    const request = { model: 'm', messages: ask('hello'), stop };
    const whole = await client.chat.completions.create(request);
    const text = 'Hello, 世界! How are you?';
    const cuts = [stop].flat().map((string) => text.indexOf(string));
    const end = Math.min(...cuts.map((cut) => (cut < 0 ? text.length : cut)));
    assert.equal(whole.choices[0].message.content, text.slice(0, end));
    assert.equal(whole.choices[0].finish_reason, 'stop');
    let streamed = '';
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
      streamed += chunk.choices[0].delta.content ?? '';
    }
    assert.equal(streamed, whole.choices[0].message.content);
  }
});

test('a thinking budget cuts the reasoning, not the answer', async () => {
  const completion = await client.chat.completions.create({
    model: 'm',
    messages: ask('think hard'),
    reasoning_effort: 'high',
    thinking_token_budget: 10,
  });
  assert.equal(completion.choices[0].message.reasoning_content, 'Five cents');
  assert.equal(completion.choices[0].message.content, 'The ball costs 5 cents: 5¢.');
});

test('a bad field is a BadRequestError with its path', async () => {
  await assert.rejects(
    client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 5 }] }),
    (error) => {
      assert(error instanceof OpenAI.BadRequestError);
      assert.equal(error.param, 'messages[0].content');
      assert.match(error.message, /messages\[0\]\.content: expected a string or a list of parts/);
      return true;
    },
  );
});

test('a prompt beyond the context is an error that agents understand', async () => {
  await assert.rejects(
    client.chat.completions.create({ model: 'm', messages: ask('x'.repeat(20_000)) }),
    (error) => {
      assert(error instanceof OpenAI.BadRequestError);
      assert.equal(error.code, 'context_length_exceeded');
      assert.match(error.message, /maximum context length is 16384 tokens/);
      return true;
    },
  );
});

test('an unknown model id is a NotFoundError, the served one is described', async () => {
  const [model] = (await client.models.list()).data;
  assert.equal((await client.models.retrieve(model.id)).context_length, 16384);
  await assert.rejects(client.models.retrieve('no-such-model'), OpenAI.NotFoundError);
});

test('a failure in mid-stream is an APIError after the text so far', async () => {
  const stream = await client.chat.completions.create({ model: 'm', messages: ask('break'), stream: true });
  let text = '';
  await assert.rejects(
    async () => {
      for await (const chunk of stream) text += chunk.choices[0].delta.content ?? '';
    },
    (error) => error instanceof OpenAI.APIError && /rank 1 is gone/.test(error.message),
  );
  assert.equal(text, 'half');
});

test('an aborted stream ends the work', async () => {
  const stream = await client.chat.completions.create({ model: 'm', messages: ask('forever'), stream: true });
  let chunks = 0;
  for await (const chunk of stream) {
    assert.equal(typeof chunk.id, 'string');
    if (++chunks === 5) break; // leaves the loop, which aborts the request
  }
  assert.match(await server.logLine('client left'), /POST \/v1\/chat\/completions 200/);
});

test('a late first token is waited for', async () => {
  const started = performance.now();
  const stream = await client.chat.completions.create({ model: 'm', messages: ask('slowly'), stream: true });
  assert(performance.now() - started < 1000, 'the head must come before the first token');
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0].delta.content ?? '';
  assert.equal(text, 'at last');
});

test('many requests at once do not mix', async () => {
  const texts = await Promise.all(
    Array.from({ length: 32 }, async (_, i) => {
      const completion = await client.chat.completions.create({
        model: 'm',
        messages: ask('hello'),
        max_tokens: i + 1,
      });
      return completion.usage.completion_tokens;
    }),
  );
  const length = Buffer.byteLength('Hello, 世界! How are you?');
  assert.deepEqual(texts, Array.from({ length: 32 }, (_, i) => Math.min(i + 1, length)));
});
