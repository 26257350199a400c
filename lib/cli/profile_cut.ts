/** `tensorrt-node profile cut`: a part of a trace as a trace of its own. */

import {Command} from 'commander';

import {withInterrupt} from './interrupt.js';

interface Flags {
  from?: string;
  to?: string;
}

export function cutCommand(): Command {
  return new Command('cut')
    .description('keep a part of a trace: what was under way between two times, as summaries and pages tell them')
    .argument('<trace>', 'a file that a profile wrote')
    .argument('<part>', 'the file to write')
    .option('--from <time>', "such as 1.2s or 350ms after the GPU's first activity (default: the beginning)")
    .option('--to <time>', 'likewise (default: the end)')
    .action(cut);
}

async function cut(path: string, part: string, flags: Flags): Promise<void> {
  const [{parseTimePoint}, {OptionError}] = await Promise.all([import('./time_point.js'), import('../errors.js')]);
  const from = flags.from === undefined ? -Infinity : parseTimePoint('--from', flags.from);
  const to = flags.to === undefined ? Infinity : parseTimePoint('--to', flags.to);
  if (to <= from) throw new OptionError('--to', `later than --from (${flags.from})`, flags.to);
  const [{readTrace}, {cutTrace, zeroOf}, {TraceWriter}, {replaceFile}] = await Promise.all([
    import('../profile/trace_reader.js'),
    import('../profile/cut.js'),
    import('../profile/trace_writer.js'),
    import('../replace_file.js'),
  ]);
  const trace = await withInterrupt((signal) => readTrace(path, {signal}));
  const zero = zeroOf(trace);
  const {info, activities, hostEvents} = cutTrace(trace, {start: zero + from, end: zero + to});
  await replaceFile(part, async (temporary) => {
    // What was in a file of its own is not too large for one.
    using writer = new TraceWriter(temporary, {info, maxBytes: Number.MAX_SAFE_INTEGER});
    for (const activity of activities) writer.add(activity);
    for (const event of hostEvents) writer.addHostEvent(event);
  });
}
