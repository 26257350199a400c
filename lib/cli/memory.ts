/** `tensorrt-node memory`: how full the GPUs and the host are. */

import {setTimeout} from 'node:timers/promises';

import {Command} from 'commander';

import {AbortError} from '../errors.js';
import {UsageError} from './errors.js';
import {withInterrupt} from './interrupt.js';
import {number} from './options.js';

interface Flags {
  watch?: boolean;
  interval?: number;
  json?: boolean;
}

const EXAMPLES = `
Examples:
  tensorrt-node memory
  tensorrt-node memory --watch --interval 1
  tensorrt-node memory --watch --json     a line of JSON each time`;

export function memoryCommand(): Command {
  return new Command('memory')
    .description('tell how full the GPUs and the host are: used, free, traffic, limits, swap')
    .option('--watch', 'go on until interrupted')
    .option('--interval <seconds>', 'with --watch: between readings (default: 2)', number)
    .option('--json', 'write it as JSON')
    .addHelpText('after', EXAMPLES)
    .action(memory);
}

async function memory({watch = false, interval, json = false}: Flags): Promise<void> {
  const [{createMemoryMonitor}, {formatReading}] = await Promise.all([
    import('../weights/monitor/memory_monitor.js'),
    import('../weights/monitor/format_reading.js'),
  ]);
  if (interval !== undefined && !watch) throw new UsageError('--interval is for --watch');
  if (interval !== undefined && !(interval >= 0.1 && interval <= 86_400))
    throw new UsageError('--interval must be from 0.1 to 86400 seconds');
  using monitor = createMemoryMonitor();
  if (!watch) {
    const reading = await monitor.read();
    process.stdout.write(json ? `${JSON.stringify(reading, null, 2)}\n` : formatReading(reading));
    return;
  }
  await withInterrupt(async (signal) => {
    for (;;) {
      const reading = await monitor.read();
      process.stdout.write(json ? `${JSON.stringify(reading)}\n` : `${new Date(reading.time).toISOString()}\n${formatReading(reading)}\n`);
      try {
        await setTimeout((interval ?? 2) * 1000, undefined, {signal});
      } catch {
        throw new AbortError(signal.reason);
      }
    }
  });
}
