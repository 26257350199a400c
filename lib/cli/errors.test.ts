import {CommanderError} from 'commander';
import {expect, it, describe as suite} from 'vitest';

import {AbortError, FormatError, OptionError} from '../errors.js';
import {describe, exitCodeOf, Interrupted, UsageError} from './errors.js';

suite('describe', () => {
  it.each([
    [new FormatError('ERR_GGUF', 'a.gguf', 'not a GGUF file'), 'a.gguf: not a GGUF file [ERR_GGUF]'],
    [new Error('two\n  lines'), 'two lines'],
    ['thrown text', 'thrown text'],
  ])('%s', (error, line) => expect(describe(error)).toBe(line));
});

suite('exitCodeOf', () => {
  it.each([
    ['a failure', new FormatError('ERR_GGUF', 'a.gguf', 'not a GGUF file'), 1],
    ['an abort that no signal caused', new AbortError(), 1],
    ['wrong usage', new UsageError('no prompt'), 2],
    ['an option out of range', new OptionError('seed', 'an integer', 0.5), 2],
    ['an unknown option', new CommanderError(1, 'commander.unknownOption', ''), 2],
    ['--help', new CommanderError(0, 'commander.helpDisplayed', ''), 0],
    ['Ctrl-C', new AbortError(new Interrupted('SIGINT')), 130],
    ['SIGTERM', new AbortError(new Interrupted('SIGTERM')), 143],
    ['a reader that went away', new AbortError(new Interrupted('EPIPE')), 0],
  ])('%s', (_name, error, code) => expect(exitCodeOf(error)).toBe(code));
});
