// SPDX-License-Identifier: GPL-3.0-or-later
// Starts fake-engine-server on any free port and follows its log.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export async function startFakeServer() {
  const script = fileURLToPath(new URL('script.json', import.meta.url));
  const child = spawn(process.env.FAKE_ENGINE_SERVER, [script], { stdio: ['pipe', 'pipe', 'pipe'] });
  const log = [];
  const waiting = new Set();
  createInterface({ input: child.stderr }).on('line', (line) => {
    log.push(line);
    for (const check of waiting) check();
  });
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => resolve(line.replace('listening on ', '')));
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`fake-engine-server ended with ${code}: ${log.join('\n')}`)));
  });
  return {
    url,
    /// Resolves with the log line that holds `text`, also one that is there already.
    logLine: (text) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no log line with: ${text}`)), 5000);
        const check = () => {
          const line = log.find((candidate) => candidate.includes(text));
          if (line) {
            clearTimeout(timer);
            waiting.delete(check);
            resolve(line);
          }
        };
        waiting.add(check);
        check();
      }),
    stop: () =>
      new Promise((resolve) => {
        child.on('exit', resolve);
        child.stdin.end();
      }),
  };
}
