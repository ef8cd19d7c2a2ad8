// SPDX-License-Identifier: GPL-3.0-or-later
// Starts tandem-engine on the demo model, two ranks, any free port, and waits until it is ready.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export async function startRealEngine() {
  const words = ['serve', '--model', process.env.DEMO_MODEL, '--ranks', '2', '--port', '0'];
  const child = spawn(process.env.TANDEM_ENGINE, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal)));
  const log = [];
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      const ready = line.match(/ ready at (http\S+)/);
      if (ready) resolve(ready[1]);
    });
    child.on('error', reject);
    ended.then((how) => reject(new Error(`tandem-engine ended with ${how}: ${log.join('\n')}`)));
  });
  return {
    url,
    /// Drains and ends it; resolves with its exit code.
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
}
