// What every test needs: the broker's address, a connection that ends with the test, names that are its own.

import { randomBytes } from 'node:crypto';
import { Connection } from 'rabbitmq-client';

export const url = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2f';

/** A name that no other test uses. */
export function unique(prefix = 'leveret-rabbitmq-client') {
  return `${prefix}-${randomBytes(6).toString('hex')}`;
}

/** A connection that is closed when the test ends. */
export function connect(t, options = {}) {
  const connection = new Connection({ url, retryLow: 20, retryHigh: 100, ...options });
  connection.on('error', () => {});
  t.after(() => connection.unsafeDestroy());
  return connection;
}

/** A channel on a connection of its own. */
export async function channel(t) {
  const opened = await connect(t).acquire();
  opened.on('error', () => {});
  return opened;
}

/** A queue that goes with its connection. */
export async function queue(ch, args = undefined) {
  const name = unique();
  await ch.queueDeclare({ queue: name, exclusive: true, arguments: args });
  return name;
}

/** The first `count` messages of a consumer without acks. */
export function consumed(ch, name, count) {
  const messages = [];
  return new Promise((resolve, reject) => {
    ch.basicConsume({ queue: name, noAck: true }, (message) => {
      messages.push(message);
      if (messages.length === count) resolve(messages);
    }).catch(reject);
  });
}

/** Waits until `condition` holds; the test's own time limit ends a wait in vain. */
export async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
