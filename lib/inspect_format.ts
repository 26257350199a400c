/** An inspection as text for people. */

import {type Inspection, isMissing} from './inspect.js';

/** Lines of `what  found`, then what can run, then advice. Ends with a line break. */
export function formatInspection(inspection: Inspection): string {
  const {node, platform, addon, driver, devices, tensorrt, onnxruntime, cpu, backends, advice} = inspection;
  const lines: [string, string][] = [
    ['Node', `${node}, ${platform}`],
    ['CPU', `${cpu.model}, ${cpu.cores} ${cpu.cores === 1 ? 'core' : 'cores'}, ${gib(cpu.memoryBytes)}`],
    ['Addon', addon.loaded ? addon.path : `not loaded: ${addon.reason}`],
    ['Driver', isMissing(driver) ? driver.reason : `${driver.version ?? 'version unknown'}, CUDA ${driver.cuda}, ${driver.path}`],
    ...devices.map(({ordinal, name, computeCapability, multiprocessors, memory, pciBusId}): [string, string] => [
      `GPU ${ordinal}`,
      `${name}, compute capability ${computeCapability}, ${multiprocessors} multiprocessors, ${gib(memory)}, ${pciBusId}`,
    ]),
    ['TensorRT', isMissing(tensorrt) ? tensorrt.reason : `${tensorrt.version}, ${tensorrt.library}`],
  ];
  if (!isMissing(tensorrt)) {
    lines.push(['ONNX parser', typeof tensorrt.parser === 'string' ? tensorrt.parser : `missing: ${tensorrt.parser.reason}`]);
  }
  lines.push(
    ['ONNX Runtime', isMissing(onnxruntime) ? onnxruntime.reason : onnxruntime.version],
    ['Backend cpu', verdict(backends.cpu)],
    ['Backend tensorrt', verdict(backends.tensorrt)],
  );
  const width = Math.max(...lines.map(([what]) => what.length)) + 2;
  const indent = ' '.repeat(width);
  const text = lines.map(([what, found]) => `${what.padEnd(width)}${found.replaceAll('\n', `\n${indent}`)}\n`).join('');
  return advice.length > 0 ? `${text}\nTo do:\n${advice.map((each) => `- ${each}\n`).join('')}` : text;
}

function verdict({usable, why}: {usable: boolean; why: string}): string {
  return `${usable ? 'usable' : 'not usable'}: ${why}`;
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
