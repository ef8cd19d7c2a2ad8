// SPDX-License-Identifier: GPL-3.0-or-later
// The npm package `openai` against the real engine: two ranks of the demo model.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { startRealEngine } from './real_engine.mjs';

const question = { role: 'user', content: 'What is the weather in Tokyo and New York?' };
const weatherTool = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Get the current weather for a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string', description: 'The city' } },
      required: ['city'],
    },
  },
};
const weather = { Tokyo: { temperature: 21, condition: 'sunny' }, 'New York': { temperature: 9, condition: 'windy' } };

let engine;
let client;

before(async () => {
  engine = await startRealEngine();
  client = new OpenAI({ baseURL: engine.url, apiKey: 'none', maxRetries: 0 });
});
after(async () => assert.equal(await engine.stop(), 0, 'the engine ends in order'));

for (const stream of [false, true]) {
  test(`two correct parallel calls, and an answer with both results, stream: ${stream}`, async () => {
    const asked = [];
    const runner = client.chat.completions.runTools({
      model: 'demo-model',
      stream,
      temperature: 0,
      messages: [question],
      tools: [
        {
          type: 'function',
          function: {
            ...weatherTool.function,
            parse: JSON.parse,
            function: (call) => {
              asked.push(call);
              return JSON.stringify({ city: call.city, ...weather[call.city] });
            },
          },
        },
      ],
    });
    const answer = await runner.finalContent();
    assert.deepEqual(asked, [{ city: 'Tokyo' }, { city: 'New York' }]);
    for (const said of ['Tokyo', '21', 'sunny', 'New York', '9', 'windy']) {
      assert.ok(answer.includes(said), `"${said}" in "${answer}"`);
    }
  });
}

test('the same greedy answer whole and streamed', async () => {
  const request = { model: 'demo-model', temperature: 0, messages: [{ role: 'user', content: 'What is Tandem?' }] };
  const whole = await client.chat.completions.create(request);
  let streamed = '';
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    streamed += chunk.choices[0]?.delta.content ?? '';
  }
  assert.ok(whole.choices[0].message.content.length > 20);
  assert.equal(streamed, whole.choices[0].message.content);
});
