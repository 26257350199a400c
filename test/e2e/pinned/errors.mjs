// What goes wrong arrives as a typed error that names the call. Prints them as JSON.
import {Device} from '../../../dist/native/device.js';

async function caught(action) {
  try {
    await action();
    return null;
  } catch ({name, code, message, call, result, hint, option}) {
    return {name, code, message, call, result, hint, option};
  }
}

const device = await caught(() => Device.open(0));
if (device !== null) {
  console.log(JSON.stringify({device}));
} else {
  const opened = Device.open(0);
  const stream = opened.createStream('test');
  const disposed = opened.createStream('disposed');
  disposed.dispose();
  disposed.dispose();
  const memory = opened.allocate(1000, stream);
  const report = {
    allocation: await caught(() => opened.allocatePinned(1 << 22)),
    noSuchDevice: await caught(() => Device.open(7)),
    badOrdinal: await caught(() => Device.open(-1)),
    zeroBytes: await caught(() => opened.allocatePinned(0)),
    fraction: await caught(() => opened.allocatePinned(1.5)),
    text: await caught(() => opened.allocatePinned('12')),
    beyondDevice: await caught(() => stream.copyToDevice(memory, opened.allocatePinned(2000))),
    beyondHost: await caught(() => stream.copyToHost(opened.allocatePinned(100), memory, {byteLength: 200})),
    beyondPageable: await caught(() => stream.copyToHost(new ArrayBuffer(100), memory, {toOffset: 50, byteLength: 51})),
    negative: await caught(() => stream.copyToDevice(memory, opened.allocatePinned(10), {fromOffset: -1})),
    shared: await caught(() => stream.copyToDevice(memory, new SharedArrayBuffer(10))),
    sharedView: await caught(() => stream.copyToHost(new Uint8Array(new SharedArrayBuffer(10)), memory)),
    noMemory: await caught(() => stream.copyToDevice(memory, 'bytes')),
    disposedBuffer: await caught(() => {
      const buffer = opened.allocatePinned(10);
      buffer.dispose();
      stream.copyToDevice(memory, buffer);
    }),
    disposedStream: await caught(() => disposed.done()),
    work: await caught(() => stream.done()),
  };
  console.log(JSON.stringify(report));
}
