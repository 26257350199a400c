import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {describe, expect, it} from 'vitest';

import {temporaryFolder} from '../support/tokenizers.js';
import {run} from './helpers/child.js';
import {command, MAIN, start} from './helpers/command.js';
import {GGUF_FILE, MODEL_FOLDER} from './helpers/model.js';

// Commands run beside each other here, and ONNX Runtime's threads spin while they wait for their share of a core.
const ALONE = ['--threads', '1'];

describe('tensorrt-node', () => {
  it.each([
    [['--help'], 0, 'stdout', 'Usage: tensorrt-node'],
    [['generate', '--help'], 0, 'stdout', '--max-new-tokens'],
    [['--version'], 0, 'stdout', '0.1.0'],
    [[], 2, 'stderr', 'Usage: tensorrt-node'],
    [['frobnicate'], 2, 'stderr', "unknown command 'frobnicate'"],
    [['generate'], 2, 'stderr', "missing required argument 'model'"],
    [['generate', 'm', 'p', '--seed', 'x'], 2, 'stderr', "option '--seed <n>' argument 'x' is invalid. It is not a number."],
    [['generate', 'm', 'p', '--logit-bias', '7'], 2, 'stderr', 'It is not token=bias.'],
    [['generate', 'm', 'p', '--raw', '--system', 's'], 2, 'stderr', '--system needs the chat template'],
    [['generate', 'm', 'p', '--logprobs', '2'], 2, 'stderr', '--logprobs needs --json'],
    [['import', 'a', 'b', '--dtype', 'int3'], 2, 'stderr', 'Allowed choices are fp16, fp32'],
  ] as const)('%j ends with %d', async (args, code, stream, text) => {
    const result = await command(args);
    expect(result).toMatchObject({code, [stream]: expect.stringContaining(text)});
    expect(result[stream === 'stdout' ? 'stderr' : 'stdout']).toBe('');
  });
});

describe('inspect', () => {
  it('tells people and scripts the same', async () => {
    const [text, json] = await Promise.all([command(['inspect']), command(['inspect', '--json'])]);
    expect(text).toMatchObject({code: 0, stderr: '', stdout: expect.stringContaining(process.versions.node)});
    expect(json).toMatchObject({code: 0, stderr: ''});
    expect(JSON.parse(json.stdout)).toMatchObject({node: process.versions.node, backends: {cpu: {usable: true}}});
  });
});

describe('import', () => {
  it('writes a model folder that generates', async () => {
    await using folder = await temporaryFolder();
    const target = join(folder.path, 'model');
    const imported = await command(['import', GGUF_FILE, target]);
    expect(imported).toMatchObject({code: 0, stdout: ''});
    expect(imported.stderr).toContain(`wrote ${target}`);
    expect(await readdir(target)).toEqual(expect.arrayContaining(['config.json', 'model.onnx', 'tokenizer.json', 'tokenizer_config.json']));
    const answer = await command(['generate', target, ...ALONE, 'What is the capital of France?', '-n', '12']);
    expect(answer).toMatchObject({code: 0, stdout: expect.stringContaining('Paris')});

    const again = await command(['import', GGUF_FILE, target]);
    expect(again).toMatchObject({code: 2, stderr: expect.stringMatching(/^tensorrt-node: .*overwrite.*\[ERR_OPTION\]\n$/)});
    expect(await command(['import', GGUF_FILE, target, '--overwrite', '--json'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"llama"'),
    });
  });

  it.each([
    ['a missing file', 'missing.gguf', undefined, 'ERR_NOT_FOUND'],
    ['a file that is no GGUF', 'noise.gguf', 'not a model at all, but long enough', 'ERR_GGUF'],
    ['a GGUF that ends early', 'short.gguf', 'GGUF\x03\0\0\0', 'ERR_GGUF'],
  ])('refuses %s in one line and leaves nothing', async (_name, file, content, code) => {
    await using folder = await temporaryFolder(content === undefined ? {} : {[file]: content});
    const before = await readdir(folder.path);
    const result = await command(['import', join(folder.path, file), join(folder.path, 'model')]);
    expect(result).toMatchObject({code: 1, stdout: ''});
    expect(result.stderr).toMatch(new RegExp(`^tensorrt-node: [^\\n]*${file}[^\\n]*\\[${code}\\]\\n$`));
    expect(await readdir(folder.path)).toEqual(before);
  });

  it('cleans up after Ctrl-C', async () => {
    await using folder = await temporaryFolder();
    const importing = start(['import', GGUF_FILE, join(folder.path, 'model')], '');
    // The folder it writes to appears once there is something to clean.
    for (;;) {
      if ((await readdir(folder.path)).length > 0) break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    importing.process.kill('SIGINT');
    expect((await importing.result).code).toBe(130);
    expect(await readdir(folder.path)).toEqual([]);
  });
});

describe('generate', () => {
  it('streams text to stdout and the figures to stderr', async () => {
    const result = await command(['generate', MODEL_FOLDER, ...ALONE, 'What is the capital of France?', '-n', '12']);
    expect(result).toMatchObject({code: 0, stdout: expect.stringMatching(/Paris.*\n$/s)});
    expect(result.stderr).toMatch(/prompt tokens \| first token in .* tok\/s/);
  });

  it('gives JSON that a seed reproduces', async () => {
    const args = ['generate', MODEL_FOLDER, ...ALONE, '-', '--json', '-n', '12', '--temperature', '1.2', '--logprobs', '2', '--seed'];
    const runs = await Promise.all(['7', '7', '8'].map((seed) => command([...args, seed], 'Tell me a story.')));
    const [first, second, other] = runs.map(({code, stdout}) => {
      expect(code).toBe(0);
      return JSON.parse(stdout);
    });
    expect(first).toMatchObject({
      finishReason: 'length',
      seed: 7,
      usage: {completionTokens: 12},
      timings: {firstToken: expect.any(Number)},
    });
    expect(first.tokens).toHaveLength(12);
    expect(first.logprobs[0].top).toHaveLength(2);
    expect(second.text).toBe(first.text);
    expect(second.tokens).toEqual(first.tokens);
    expect(other.tokens).not.toEqual(first.tokens);
  });

  it('continues raw text, ends at a stop string and bans tokens', async () => {
    const raw = async (...args: string[]) =>
      (await command(['generate', MODEL_FOLDER, ...ALONE, '1, 2, 3, 4,', '--raw', '-n', '10', ...args])).stdout;
    const text = await raw();
    expect(text).toMatch(/^ 5, 6, 7/);
    expect(await raw('--stop', ' 7')).toBe(' 5, 6,\n');
    const {tokens} = JSON.parse(await raw('--json'));
    expect(JSON.parse(await raw('--json', '--logit-bias', `${tokens[0]}=-Infinity`)).tokens[0]).not.toBe(tokens[0]);
  });

  it('follows the system message', async () => {
    const args = ['generate', MODEL_FOLDER, ...ALONE, 'Hello', '--json', '-n', '1'];
    const [plain, instructed] = await Promise.all([command(args), command([...args, '--system', 'Be brief. '.repeat(20)])]);
    const promptTokens = ({stdout}: {stdout: string}): number => JSON.parse(stdout).usage.promptTokens;
    expect(promptTokens(instructed)).toBeGreaterThan(promptTokens(plain) + 20);
  });

  it.each([
    ['a folder without a model', ['generate', 'nowhere', 'Hello'], 1, /^tensorrt-node: .*nowhere.*\[ERR_/],
    [
      'a prompt beyond the context',
      ['generate', MODEL_FOLDER, ...ALONE, 'word '.repeat(200), '--max-context', '64'],
      1,
      /\[ERR_CONTEXT_LENGTH\]/,
    ],
    [
      'an option out of range',
      ['generate', MODEL_FOLDER, ...ALONE, 'Hello', '--top-p', '2'],
      2,
      /^tensorrt-node: topP must be .*got 2.*\[ERR_OPTION\]/,
    ],
  ])('refuses %s', async (_name, args, code, message) => {
    const result = await command(args);
    expect(result).toMatchObject({code, stdout: ''});
    expect(
      result.stderr
        .split('\n')
        .filter((line) => line.startsWith('tensorrt-node:'))
        .join('\n'),
    ).toMatch(message);
  });

  it('takes a prompt as long as an argument can be', async () => {
    const result = await command(['generate', MODEL_FOLDER, ...ALONE, 'word '.repeat(25_000)]);
    expect(result).toMatchObject({code: 1, stdout: '', stderr: expect.stringContaining('[ERR_CONTEXT_LENGTH]')});
  });

  it('refuses standard input that is empty', async () => {
    const result = await command(['generate', MODEL_FOLDER, '-']);
    expect(result).toEqual({code: 2, stdout: '', stderr: 'tensorrt-node: standard input has no prompt\n'});
  });

  it('goes on when nobody reads the figures', async () => {
    const running = start(['generate', MODEL_FOLDER, ...ALONE, 'What is the capital of France?', '-n', '12'], '');
    running.process.stderr!.destroy();
    expect(await running.result).toMatchObject({code: 0, stdout: expect.stringMatching(/Paris.*\n$/s)});
  });

  it('says in a line that its output cannot be written', async () => {
    const shell = `"$@" > /dev/full`;
    const {status, stderr} = await run('sh', ['-c', shell, 'sh', process.execPath, MAIN, 'inspect', '--json']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^tensorrt-node: ENOSPC: [^\n]*\[ENOSPC\]\n$/);
  });

  it('stops at Ctrl-C', async () => {
    const running = start(['generate', MODEL_FOLDER, ...ALONE, 'Count from 1 to 1000.', '-n', '2000', '--logit-bias', '2=-Infinity'], '');
    await running.until('stdout', /\S/);
    running.process.kill('SIGINT');
    const {code, stderr} = await running.result;
    expect(code).toBe(130);
    expect(stderr).not.toContain('tensorrt-node:');
  });

  it('ends quietly when its reader does', async () => {
    const running = start(['generate', MODEL_FOLDER, ...ALONE, 'Count from 1 to 1000.', '-n', '2000', '--logit-bias', '2=-Infinity'], '');
    await running.until('stdout', /\S/);
    running.process.stdout!.destroy();
    const {code, stderr} = await running.result;
    expect(code).toBe(0);
    expect(stderr).not.toContain('EPIPE');
  });
});

describe('chat', () => {
  it('keeps the conversation between the lines of a pipe, until /reset', async () => {
    const question = 'What is my name?';
    const {code, stdout, stderr} = await command(
      ['chat', MODEL_FOLDER, ...ALONE, '-n', '32'],
      `Hi, my name is Zebulon.\n${question}\n\n/reset\n${question}\n/exit\nnot read\n`,
    );
    expect({code, errors: stderr.match(/^tensorrt-node:.*/m)}).toEqual({code: 0, errors: null});
    const replies = stdout.trimEnd().split('\n');
    expect(stdout).toContain('Zebulon');
    expect(replies.at(-1)).not.toContain('Zebulon');
  });

  it('goes on after Ctrl-C stopped a reply', async () => {
    const chat = start(['chat', MODEL_FOLDER, ...ALONE, '--logit-bias', '2=-Infinity', '-n', '2000']);
    chat.process.stdin!.write('Count from 1 to 1000.\n');
    await chat.until('stdout', /\S/);
    chat.process.kill('SIGINT');
    await chat.until('stdout', /\n$/);
    chat.process.stdin!.write('/exit\n');
    expect((await chat.result).code).toBe(0);
  });

  it('ends at a flag that is out of range', async () => {
    const {code, stderr} = await command(['chat', MODEL_FOLDER, ...ALONE, '--top-p', '7'], 'Hello\nHello\n');
    expect(code).toBe(2);
    expect(stderr.match(/topP must be/g)).toHaveLength(1);
  });

  it('on a terminal ends after the reply under way when Ctrl-D closed it', async () => {
    // What is written to `script` is typed at the terminal that it gives the command.
    const typed = [process.execPath, MAIN, 'chat', MODEL_FOLDER, ...ALONE, '-n', '40', '--logit-bias', '2=-Infinity'];
    const child = spawn('script', ['-qefc', typed.map((word) => `'${word}'`).join(' '), '/dev/null'], {stdio: ['pipe', 'pipe', 'inherit']});
    let output = '';
    for await (const text of child.stdout.setEncoding('utf8')) {
      const before = output;
      output += text;
      const first = (sign: string) => output.includes(sign) && !before.includes(sign);
      if (first('> ')) child.stdin.write('Count from 1 to 1000.\r');
      if (first('1000.\r')) child.stdin.write('\x04');
    }
    expect(child.exitCode ?? (await once(child, 'exit'))[0]).toBe(0);
    expect(output).toContain('cut at the token limit');
  });

  it('goes on after a turn that failed', async () => {
    const {code, stdout, stderr} = await command(
      ['chat', MODEL_FOLDER, ...ALONE, '-n', '8', '--max-context', '64'],
      `${'word '.repeat(200)}\nHello\n`,
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(/^tensorrt-node: .*\[ERR_CONTEXT_LENGTH\]$/m);
    expect(stdout).toMatch(/\S/);
  });
});

describe('a model folder that is damaged', () => {
  it('is named', async () => {
    await using folder = await temporaryFolder({'config.json': '{}'});
    await mkdir(join(folder.path, 'onnx'));
    await writeFile(join(folder.path, 'model.onnx'), 'noise');
    const {code, stderr} = await command(['generate', folder.path, 'Hello']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^tensorrt-node: [^\n]*\[ERR_TOKENIZER\]$/m);
    expect(stderr).toContain(folder.path);
  });
});
