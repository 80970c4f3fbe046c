// The channel's methods, one by one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { channel, connect, consumed, queue, unique, until } from './support.js';

test('confirmed publishes are in the queue', async (t) => {
  const ch = await channel(t);
  await ch.confirmSelect();
  const name = await queue(ch);
  await Promise.all(Array.from({ length: 500 }, (_, i) => ch.basicPublish(name, `${i}`)));
  assert.equal((await ch.queueDeclare({ queue: name, passive: true })).messageCount, 500);
  assert.deepEqual(await ch.queuePurge(name), { messageCount: 500 });
});

test('properties and headers come back as they went', async (t) => {
  const ch = await channel(t);
  const name = await queue(ch);
  const headers = { text: 'häse', yes: true, small: 7, large: 2 ** 40, half: 0.5, list: [1, 'two'], table: { deep: { er: 1 } } };
  await ch.basicPublish({
    routingKey: name, headers, contentType: 'application/json', correlationId: 'c', replyTo: 'r', expiration: '60000',
    messageId: 'm', timestamp: 1_700_000_000, type: 'kind', userId: 'guest', appId: 'app', durable: true, priority: 4,
  }, { value: 1 });
  const [message] = await consumed(ch, name, 1);
  assert.deepEqual(message.body, { value: 1 });
  assert.deepEqual(message.headers, headers);
  const { contentType, correlationId, replyTo, expiration, messageId, timestamp, type, userId, appId, durable, priority } = message;
  assert.deepEqual(
    { contentType, correlationId, replyTo, expiration, messageId, timestamp, type, userId, appId, durable, priority },
    {
      contentType: 'application/json', correlationId: 'c', replyTo: 'r', expiration: '60000', messageId: 'm',
      timestamp: 1_700_000_000, type: 'kind', userId: 'guest', appId: 'app', durable: true, priority: 4,
    },
  );
});

test('a body of many frames arrives whole', async (t) => {
  const ch = await channel(t);
  const name = await queue(ch);
  const body = Buffer.alloc(3_000_000, 'leveret');
  await ch.basicPublish(name, body);
  const [message] = await consumed(ch, name, 1);
  assert.ok(message.body.equals(body));
});

test('an unroutable mandatory message is returned with 312', async (t) => {
  const ch = await channel(t);
  await ch.confirmSelect();
  const returned = new Promise((resolve) => ch.on('basic.return', resolve));
  await ch.basicPublish({ routingKey: unique(), mandatory: true }, 'lost');
  const { replyCode, replyText, body } = await returned;
  assert.deepEqual([replyCode, replyText, body], [312, 'NO_ROUTE', 'lost']);
});

test('get empties a queue, then says it is empty', async (t) => {
  const ch = await channel(t);
  await ch.confirmSelect();
  const name = await queue(ch);
  await ch.basicPublish(name, 'one');
  await ch.basicPublish(name, 'two');
  const first = await ch.basicGet({ queue: name });
  assert.deepEqual([first.body, first.messageCount, first.redelivered], ['one', 1, false]);
  ch.basicNack({ deliveryTag: first.deliveryTag, requeue: true });
  const again = await ch.basicGet({ queue: name, noAck: true });
  assert.deepEqual([again.body, again.redelivered], ['one', true]);
  await ch.basicGet({ queue: name, noAck: true });
  assert.equal(await ch.basicGet({ queue: name }), undefined);
});

test('a queue that is not there closes the channel with 404', async (t) => {
  const ch = await channel(t);
  const name = unique();
  await assert.rejects(ch.queueDeclare({ queue: name, passive: true }), (error) => {
    assert.equal(error.code, 'NOT_FOUND');
    assert.match(error.message, new RegExp(`NOT_FOUND - no queue '${name}' in vhost '/'`));
    return true;
  });
});

test('an argument of a wrong type is refused with 406', async (t) => {
  const ch = await channel(t);
  const name = unique();
  await assert.rejects(ch.queueDeclare({ queue: name, exclusive: true, arguments: { 'x-message-ttl': 'soon' } }), (error) => {
    assert.equal(error.code, 'PRECONDITION_FAILED');
    assert.match(error.message, /invalid arg 'x-message-ttl' for queue/);
    return true;
  });
});

test('qos for the whole channel and for each consumer', async (t) => {
  for (const global of [true, false]) {
    const ch = await channel(t);
    await ch.confirmSelect();
    const name = await queue(ch);
    for (let i = 0; i < 6; i += 1) await ch.basicPublish(name, `${i}`);
    await ch.basicQos({ prefetchCount: 2, global });
    const got = [];
    await ch.basicConsume({ queue: name }, (message) => got.push(message));
    await ch.basicConsume({ queue: name }, (message) => got.push(message));
    const expected = global ? 2 : 4;
    await until(() => got.length === expected);
    assert.equal((await ch.queueDeclare({ queue: name, passive: true })).messageCount, 6 - expected);
    let acked = 0;
    await until(() => {
      for (; acked < got.length; acked += 1) ch.basicAck({ deliveryTag: got[acked].deliveryTag });
      return acked === 6;
    });
  }
});

test('recover returns what was not acknowledged', async (t) => {
  const ch = await channel(t);
  await ch.confirmSelect();
  const name = await queue(ch);
  await ch.basicPublish(name, 'x');
  await ch.basicGet({ queue: name });
  await ch.basicRecover({ requeue: true });
  assert.equal((await ch.basicGet({ queue: name, noAck: true })).redelivered, true);
});

test('exchanges, bindings between them, and their ends', async (t) => {
  const ch = await channel(t);
  const [from, to] = [unique(), unique()];
  await ch.exchangeDeclare({ exchange: from, type: 'topic' });
  await ch.exchangeDeclare({ exchange: to, type: 'fanout' });
  const name = await queue(ch);
  await ch.exchangeBind({ source: from, destination: to, routingKey: 'a.#' });
  await ch.queueBind({ exchange: to, queue: name });
  await ch.basicPublish({ exchange: from, routingKey: 'b' }, 'lost');
  await ch.basicPublish({ exchange: from, routingKey: 'a.b.c' }, 'found');
  assert.equal((await consumed(ch, name, 1))[0].body, 'found');
  await ch.queueUnbind({ exchange: to, queue: name });
  await ch.exchangeUnbind({ source: from, destination: to, routingKey: 'a.#' });
  await ch.exchangeDelete({ exchange: from, ifUnused: true });
  await ch.exchangeDelete({ exchange: to, ifUnused: true });
});

test('a deleted queue cancels its consumers', async (t) => {
  const ch = await channel(t);
  const name = await queue(ch);
  const cancelled = new Promise((resolve) => ch.on('basic.cancel', resolve));
  const { consumerTag } = await ch.basicConsume({ queue: name }, () => {});
  await ch.queueDelete(name);
  assert.equal(await cancelled, consumerTag);
});

test('a transaction is not seen before its commit, nor after its rollback', async (t) => {
  const connection = connect(t);
  const [ch, other] = [await connection.acquire(), await connection.acquire()];
  const name = await queue(other);
  await ch.txSelect();
  await ch.basicPublish(name, 'rolled back');
  await ch.txRollback();
  await ch.basicPublish(name, 'committed');
  assert.equal((await other.queueDeclare({ queue: name, passive: true })).messageCount, 0);
  await ch.txCommit();
  assert.equal((await other.basicGet({ queue: name, noAck: true })).body, 'committed');
});

test('a closed channel does not trouble the next', async (t) => {
  const connection = connect(t);
  const bad = await connection.acquire();
  bad.on('error', () => {});
  await assert.rejects(bad.exchangeDeclare({ exchange: unique(), type: 'no-such-type' }), /unknown exchange type 'no-such-type'|invalid exchange type/);
  const good = await connection.acquire();
  await queue(good);
  await good.close();
});
