#!/usr/bin/env node
/** The command `tensorrt-node`: data goes to stdout, everything for people to stderr. */

import {readFileSync} from 'node:fs';

import {Command} from 'commander';

// Logs where the environment says so.
import '../logging/logging.js';
import {benchCommand} from './bench.js';
import {buildCommand} from './build.js';
import {chatCommand} from './chat.js';
import {exitCodeOf, printError} from './errors.js';
import {evalCommand} from './eval.js';
import {generateCommand} from './generate.js';
import {importCommand} from './import.js';
import {inspectCommand} from './inspect.js';
import {memoryCommand} from './memory.js';
import {planCommand} from './plan.js';
import {profileCommand} from './profile.js';
import {quantizeCommand} from './quantize.js';
import {runCommand} from './run.js';

// A reader that closes early, such as `head`, has what it wanted; commands at work notice by themselves.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  printError(error);
  process.exit(exitCodeOf(error));
});
// Nobody reads the figures: the data on stdout goes on.
process.stderr.on('error', () => {});

const {version, description} = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

const program = new Command('tensorrt-node')
  .description(description)
  .version(version)
  .showHelpAfterError('(--help shows all options)')
  .enablePositionalOptions();
const commands = [
  inspectCommand(),
  buildCommand(),
  importCommand(),
  quantizeCommand(),
  planCommand(),
  generateCommand(),
  chatCommand(),
  runCommand(),
  benchCommand(),
  evalCommand(),
  memoryCommand(),
  profileCommand(),
];
for (const command of commands) {
  program.addCommand(command.copyInheritedSettings(program));
}
for (const command of withSubcommands(program)) {
  command.exitOverride();
  for (const each of command.commands) each.copyInheritedSettings(command);
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

try {
  await program.parseAsync();
} catch (error) {
  printError(error);
  process.exitCode = exitCodeOf(error);
}
