/** A reading of memory as text for people. */

import {formatMemory} from '../format_memory.js';
import type {GpuReading} from './gpu_reading.js';
import type {MemoryReading} from './memory_monitor.js';

/** Lines of `what  found`, then who holds most. Ends with a line break. */
export function formatReading({gpus, gpuMissing, host, majorFaultsPerSecond, pinnedBytes, holders}: MemoryReading): string {
  const lines: [string, string][] = [
    ...(gpus ?? []).map((gpu): [string, string] => [`GPU ${gpu.ordinal}`, gpuLine(gpu)]),
    ...(gpuMissing === undefined ? [] : ([['GPU', `not read: ${gpuMissing.reason}`]] as [string, string][])),
    ['RAM', `${share(host.limitBytes - host.availableBytes, host.limitBytes)}, ${formatMemory(host.availableBytes)} available`],
    ['Process', `${formatMemory(host.rssBytes)} resident, ${formatMemory(pinnedBytes)} pinned${swapped(host.swappedBytes)}`],
  ];
  const {cgroup, majorFaults, swapTotalBytes, swapUsedBytes} = host;
  if (cgroup !== undefined) lines.push(['Limit', `${formatMemory(cgroup.limitBytes)}, of ${cgroup.path}`]);
  if (swapTotalBytes !== undefined && swapTotalBytes > 0) lines.push(['Swap', share(swapUsedBytes!, swapTotalBytes)]);
  if (majorFaults !== undefined) {
    const rate = majorFaultsPerSecond === undefined ? '' : `, ${majorFaultsPerSecond.toFixed(1)} a second`;
    lines.push(['Major faults', `${majorFaults}${rate}`]);
  }
  lines.push(
    ...holders.map(({name, what, where, bytes}): [string, string] => [name, `${formatMemory(bytes)} of ${what} in ${PLACES[where]}`]),
  );
  const width = Math.max(...lines.map(([what]) => what.length)) + 2;
  return lines.map(([what, found]) => `${what.padEnd(width)}${found}\n`).join('');
}

const PLACES = {gpu: 'VRAM', pinned: 'pinned RAM', ram: 'RAM'} as const;

function gpuLine({name, usedBytes, totalBytes, freeBytes, receivedBytesPerSecond, sentBytesPerSecond}: GpuReading): string {
  const traffic =
    receivedBytesPerSecond === undefined || sentBytesPerSecond === undefined
      ? ''
      : `, PCIe in ${formatMemory(receivedBytesPerSecond)}/s, out ${formatMemory(sentBytesPerSecond)}/s`;
  return `${share(usedBytes, totalBytes)}, ${formatMemory(freeBytes)} free${traffic}, ${name}`;
}

function share(used: number, total: number): string {
  return `${formatMemory(used)} of ${formatMemory(total)} (${((100 * used) / total).toFixed(0)}%) in use`;
}

function swapped(bytes: number | undefined): string {
  return bytes === undefined || bytes === 0 ? '' : `, ${formatMemory(bytes)} swapped out`;
}
