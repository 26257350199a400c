/** Other people's implementations to measure against, installed on demand into an ignored folder. */

import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {fileURLToPath, pathToFileURL} from 'node:url';

export const peersFolder = fileURLToPath(new URL('../.peers/', import.meta.url));

export const NODE_LLAMA_CPP = '3.22.1';

/** node-llama-cpp with its prebuilt CPU binary and nothing else: no build, no download of sources, no GPU variants. */
export async function llamaCpp() {
  const folder = `${peersFolder}node_modules/node-llama-cpp/`;
  const manifest = `${folder}package.json`;
  if (!existsSync(manifest) || JSON.parse(readFileSync(manifest, 'utf8')).version !== NODE_LLAMA_CPP) {
    mkdirSync(peersFolder, {recursive: true});
    writeFileSync(`${peersFolder}package.json`, '{"private": true}\n');
    process.stderr.write(`installing node-llama-cpp ${NODE_LLAMA_CPP} into bench/.peers …\n`);
    const binary = `@node-llama-cpp/${process.platform}-${process.arch}@${NODE_LLAMA_CPP}`;
    execFileSync(
      'npm',
      [
        'install',
        '--ignore-scripts',
        '--omit=optional',
        '--save-exact',
        '--no-audit',
        '--no-fund',
        `node-llama-cpp@${NODE_LLAMA_CPP}`,
        binary,
      ],
      {cwd: peersFolder, stdio: ['ignore', 2, 2]},
    );
  }
  const release = JSON.parse(readFileSync(`${folder}llama/llama.cpp.info.json`, 'utf8')).tag;
  const api = await import(pathToFileURL(`${folder}dist/index.js`).href);
  return {api, versions: {'node-llama-cpp': NODE_LLAMA_CPP, 'llama.cpp': release}};
}

/** llama.cpp on the CPU alone. */
export async function startLlama(api, threads) {
  return await api.getLlama({gpu: false, build: 'never', skipDownload: true, progressLogs: false, maxThreads: threads, logLevel: 'error'});
}

/**
 * The logits after each token of `tokens`, [tokens.length, vocabSize]: the full, unfiltered set as llama.cpp
 * returns it, in F32. Temperature 0 selects the greedy sampler, which leaves logits as they are.
 */
export async function llamaLogits(sequence, tokens, vocabSize) {
  await sequence.clearHistory();
  const logits = new Float32Array(tokens.length * vocabSize).fill(Number.NaN);
  await sequence.controlledEvaluate(
    Array.from(tokens, (token) => [token, {generateNext: {logits: true, options: {temperature: 0}}}]),
    {
      onTokenResult(index, result) {
        for (const [token, logit] of result.next.logits) logits[index * vocabSize + token] = logit;
        // The array that controlledEvaluate collects would hold a map of the whole vocabulary for every token.
        result.next.logits = undefined;
      },
    },
  );
  if (logits.some(Number.isNaN)) throw new Error('llama.cpp did not return the logits of every token');
  return logits;
}
