// Prints what inspect() sees as JSON, or as text with --text. Another argument is TensorRT's path.
import {formatInspection, inspect} from '../../../dist/index.js';

const [path] = process.argv.slice(2).filter((each) => each !== '--text');
const inspection = await inspect({tensorrtPath: path});
console.log(process.argv.includes('--text') ? formatInspection(inspection) : JSON.stringify(inspection));
