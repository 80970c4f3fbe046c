// What every test needs: the broker's address, a connection that ends with the test, names that are its own.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import amqp from 'amqplib';

export const url = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2f';

/** A name that no other test uses. */
export function unique(prefix = 'leveret-amqplib') {
  return `${prefix}-${randomBytes(6).toString('hex')}`;
}

/** A connection that is closed when the test ends, whatever became of it. */
export async function connect(t, address = url, options = undefined) {
  const connection = await amqp.connect(address, options);
  let open = true;
  // Without a listener an error event would end the process; the tests look at the error where they expect it.
  connection.on('error', () => {});
  connection.on('close', () => { open = false; });
  t.after(async () => { if (open) await connection.close(); });
  return connection;
}

/** A channel on a connection of its own; `confirm` turns publisher confirms on. */
export async function channel(t, { confirm = false } = {}) {
  const connection = await connect(t);
  const opened = confirm ? await connection.createConfirmChannel() : await connection.createChannel();
  opened.on('error', () => {});
  return opened;
}

/** A queue that goes with its connection. */
export async function queue(ch, options = {}) {
  const { queue: name } = await ch.assertQueue('', { exclusive: true, ...options });
  return name;
}

/** The first `count` messages of a consumer, which goes on until its channel ends. */
export async function consumed(ch, name, count, options = { noAck: true }) {
  const messages = [];
  return await new Promise((resolve, reject) => {
    ch.consume(name, (message) => {
      messages.push(message);
      if (messages.length === count) resolve(messages);
    }, options).catch(reject);
  });
}

/** The error that closes the channel. */
export async function closedBy(ch, action) {
  const failed = once(ch, 'error');
  // The call's own promise is refused with the same error.
  Promise.resolve(action()).catch(() => {});
  const [error] = await failed;
  return error;
}

/** Waits until `condition` holds; the test's own time limit ends a wait in vain. */
export async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
