'use strict';
// Loaded before @supabase/lite 0.10.0 (node --require) to correct the differences from hosted Supabase that a
// client of the API can see:
//
// 1. Storage's sign answer says `signedUrl` with the prefix /storage/v1; hosted says `signedURL` without it, and
//    supabase-py accepts only that. https://supabase.github.io/storage/#/object/post_object_sign__bucketName___wildcard_
// 2. Idle connections close after Node's 5 s. Behind hosted Supabase's proxy they live a minute and more.
// 3. The REST API answers 500 "SUP" for most database errors and for a database that is away. PostgREST keeps the
//    SQLSTATE and chooses the status from it, which is how a client tells "refused" from "try again".
//    https://docs.postgrest.org/en/stable/references/errors.html
//
// 4. A link that ran out answers 500; hosted says 400 InvalidJWT, which a client does not take for a passing fault.
//    https://supabase.com/docs/guides/storage/debugging/error-codes
//
// sandbox/servers/supabase.py checks at every start that 1 to 4 took effect.

const http = require('node:http');
const { syncBuiltinESMExports } = require('node:module');

const IDLE_CONNECTION_MS = 65_000;
const STORAGE_PREFIX = '/storage/v1';
const SIGN_PATH = `${STORAGE_PREFIX}/object/sign/`;
const REST_PATH = '/rest/v1/';
const CARRIER = 'database error as JSON: ';

// PostgREST's table; the first prefix that fits decides. Everything else is 400.
const STATUS_BY_SQLSTATE_PREFIX = [
  ['08', 503], ['09', 500], ['0L', 403], ['0P', 403], ['23503', 409], ['23505', 409], ['25006', 405], ['25', 500],
  ['28', 403], ['2D', 500], ['38', 500], ['39', 500], ['3B', 500], ['40', 500], ['42P17', 500], ['53400', 500],
  ['53', 503], ['54', 500], ['55', 500], ['57', 500], ['58', 500], ['F0', 500], ['HV', 500], ['P0001', 400],
  ['P0', 500], ['XX', 500],
];
const SQLSTATE = /^[0-9A-Z]{5}$/;
const CONNECTION_LOST = /^(CONNECTION_\w+|CONNECT_TIMEOUT|ECONNREFUSED|ECONNRESET|ENOTFOUND|EPIPE|ETIMEDOUT)$/;

function statusOf(sqlstate) {
  const row = STATUS_BY_SQLSTATE_PREFIX.find(([prefix]) => sqlstate.startsWith(prefix));
  return row ? row[1] : 400;
}

// The API writes String(error) into its answer and drops the rest of the error; so the rest goes into that string.
const plainToString = Error.prototype.toString;
Error.prototype.toString = function toString() {
  const { code, message, detail = null, hint = null } = this;
  if (this.name === 'PostgresError' && SQLSTATE.test(code)) {
    const body = { code, details: detail, hint, message };
    return CARRIER + JSON.stringify({ status: statusOf(code), body });
  }
  if (typeof code === 'string' && CONNECTION_LOST.test(code)) {
    const body = {
      code: 'PGRST001', details: code, hint: null, message: 'Database client error. Retrying the connection.',
    };
    return CARRIER + JSON.stringify({ status: 503, body });
  }
  return plainToString.call(this);
};

function restAnswerLikeHosted(status, answer) {
  if (SQLSTATE.test(answer?.code)) return { status: statusOf(answer.code), answer };
  if (answer?.code !== 'SUP' || !answer.message?.startsWith(CARRIER)) return { status, answer };
  const carried = JSON.parse(answer.message.slice(CARRIER.length));
  return { status: carried.status, answer: carried.body };
}

function signAnswerLikeHosted(status, { signedUrl, ...rest }) {
  return { status, answer: { ...rest, signedURL: signedUrl.replace(STORAGE_PREFIX, '') } };
}

function linkAnswerLikeHosted() {
  const message = '"exp" claim timestamp check failed';
  return { status: 400, answer: { statusCode: '400', error: 'InvalidJWT', message } };
}

function hasRunOut(url) {
  const payload = new URL(url, 'http://sandbox').searchParams.get('token')?.split('.')[1];
  try {
    return JSON.parse(Buffer.from(payload, 'base64url').toString()).exp * 1000 <= Date.now();
  } catch {
    return false;
  }
}

function rewriteFor(request, status) {
  if (request.method === 'POST' && request.url.startsWith(SIGN_PATH) && status === 200) return signAnswerLikeHosted;
  if (request.url.startsWith(SIGN_PATH) && status === 500 && hasRunOut(request.url)) return linkAnswerLikeHosted;
  if (request.url.startsWith(REST_PATH) && status === 500) return restAnswerLikeHosted;
  return null;
}

// Holds back a whole answer that is to be rewritten; every other answer passes untouched.
function rewriteAnswers(request, response) {
  const { writeHead, write, end } = response;
  response.writeHead = function holdHead(status, ...rest) {
    const rewrite = rewriteFor(request, status);
    if (!rewrite) return writeHead.call(response, status, ...rest);
    const headers = rest.find((argument) => typeof argument === 'object') ?? {};
    const chunks = [];
    response.write = (chunk) => chunks.push(Buffer.from(chunk));
    response.end = (chunk) => {
      if (chunk !== undefined && typeof chunk !== 'function') chunks.push(Buffer.from(chunk));
      const rewritten = rewrite(status, JSON.parse(Buffer.concat(chunks).toString()));
      const body = Buffer.from(JSON.stringify(rewritten.answer));
      const kept = Object.entries(headers).filter(
        ([name]) => !['content-length', 'transfer-encoding'].includes(name.toLowerCase()),
      );
      Object.assign(response, { write, end });
      writeHead.call(response, rewritten.status, { ...Object.fromEntries(kept), 'content-length': body.length });
      return end.call(response, body);
    };
    return response;
  };
}

const createServer = http.createServer;
http.createServer = function createServerLikeHosted(options, listener) {
  const server = createServer(options, (request, response) => {
    rewriteAnswers(request, response);
    return listener(request, response);
  });
  server.keepAliveTimeout = IDLE_CONNECTION_MS;
  return server;
};
syncBuiltinESMExports(); // so that `import { createServer } from "http"` sees it too
