/** `tensorrt-node inspect`: what this machine has and what it lacks. */

import {Command} from 'commander';

import {inspectPlanCommand} from './inspect_plan.js';

export function inspectCommand(): Command {
  return (
    new Command('inspect')
      .description('tell what is there to run on: addon, driver, GPUs, TensorRT')
      // What stands behind `plan` is its own.
      .enablePositionalOptions()
      .addCommand(inspectPlanCommand())
      .option('--json', 'write it as JSON')
      .action(async ({json}: {json?: boolean}) => {
        const [{inspect}, {formatInspection}] = await Promise.all([import('../inspect.js'), import('../inspect_format.js')]);
        const inspection = await inspect();
        process.stdout.write(json ? `${JSON.stringify(inspection, null, 2)}\n` : formatInspection(inspection));
      })
  );
}
