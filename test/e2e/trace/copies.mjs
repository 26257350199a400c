// Copies 300,000 bytes up and 70,000 down as often as its argument says, then ends as it says.
import {Device} from '../../../dist/native/device.js';

const [count, ending] = process.argv.slice(2);
const device = Device.open(0);
const [upload, download] = [device.createStream('upload'), device.createStream('download')];
const memory = device.allocate(1 << 20, upload);
const host = device.allocatePinned(1 << 20);
for (let i = 0; i < Number(count); i++) {
  upload.copyToDevice(memory, host, {byteLength: 300_000});
  await upload.done();
  download.copyToHost(host, memory, {byteLength: 70_000});
  await download.done();
}
console.log('copied');
if (ending === 'exit') {
  // What has ended on the GPU comes about every 100 ms.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  process.exit(3);
}
if (ending === 'throw') throw new Error('planted');
