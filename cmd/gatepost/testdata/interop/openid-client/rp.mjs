// A relying party on openid-client, for tests: node rp.mjs CONFIG
//
// CONFIG is a JSON file: the port to listen on at 127.0.0.1, the issuer, and the clients by name. A sign-in of a client
// begins at /NAME/login and ends at /NAME/callback, which answers with JSON: 200 and what the relying party learned, 403
// and the error that it was told, or 500 and why it believes nothing.
import { webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { SignJWT, decodeProtectedHeader } from 'jose'
import * as oidc from 'openid-client'

globalThis.crypto ??= webcrypto // before Node 19
globalThis.CryptoKey ??= webcrypto.CryptoKey

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const origin = `http://127.0.0.1:${config.port}`

const algorithms = {
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
}

// privateKey is the client's key, to sign with alg.
async function privateKey(client, alg) {
  const key = await crypto.subtle.importKey('jwk', client.key, algorithms[alg], false, ['sign'])
  return { key, kid: client.key.kid }
}

async function authentication(client) {
  switch (client.auth) {
    case 'client_secret_basic':
      return oidc.ClientSecretBasic(client.secret)
    case 'client_secret_post':
      return oidc.ClientSecretPost(client.secret)
    case 'private_key_jwt':
      return oidc.PrivateKeyJwt(await privateKey(client, client.auth_alg))
  }
  throw new Error(`no client authentication "${client.auth}"`)
}

// What a client knows stays from one sign-in to the next, the provider's keys among it.
const known = new Map()

async function knowledge(name) {
  if (!known.has(name)) {
    const client = config.clients[name]
    const knows = { client, keySets: 0 }
    const countingFetch = (url, options) => {
      if (url === knows.server?.serverMetadata().jwks_uri) knows.keySets++
      return fetch(url, options)
    }
    knows.server = await oidc.discovery(
      new URL(config.issuer),
      client.client_id,
      { id_token_signed_response_alg: client.id_token_alg },
      await authentication(client),
      { [oidc.customFetch]: countingFetch },
    )
    // Without it, the signature of an ID token from the token endpoint is not looked at.
    oidc.enableNonRepudiationChecks(knows.server)
    known.set(name, knows)
  }
  return known.get(name)
}

// requestObject signs the parameters with the client's secret, which openid-client itself does not do.
function requestObject(client, parameters) {
  return new SignJWT({ ...parameters, client_id: client.client_id })
    .setProtectedHeader({ alg: client.request_object_alg })
    .setIssuer(client.client_id)
    .setAudience(config.issuer)
    .setIssuedAt()
    .setExpirationTime('1m')
    .setJti(oidc.randomState())
    .sign(new TextEncoder().encode(client.secret))
}

async function authorizationURL({ client, server }, parameters) {
  const alg = client.request_object_alg
  if (alg?.startsWith('HS')) {
    const { response_type, scope } = parameters // OpenID Connect core 6.1 wants these outside too
    return oidc.buildAuthorizationUrl(server, { response_type, scope, request: await requestObject(client, parameters) })
  }
  if (alg) return oidc.buildAuthorizationUrlWithJAR(server, parameters, await privateKey(client, alg))
  return oidc.buildAuthorizationUrl(server, parameters)
}

const checks = new Map() // what an answer must match, by the browser's cookie

async function login(name) {
  const knows = await knowledge(name)
  const check = { expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() }
  const parameters = {
    response_type: 'code',
    redirect_uri: `${origin}/${name}/callback`,
    scope: 'openid email profile',
    state: check.expectedState,
    nonce: check.expectedNonce,
    ...knows.client.parameters,
  }
  if (knows.client.pkce) {
    check.pkceCodeVerifier = oidc.randomPKCECodeVerifier()
    parameters.code_challenge = await oidc.calculatePKCECodeChallenge(check.pkceCodeVerifier)
    parameters.code_challenge_method = 'S256'
    if (knows.client.forgets_verifier) delete check.pkceCodeVerifier
  }
  const cookie = oidc.randomState()
  checks.set(cookie, check)
  return [303, { Location: (await authorizationURL(knows, parameters)).href, 'Set-Cookie': `login=${cookie}; Path=/${name}/` }]
}

async function callback(name, request) {
  const cookie = /login=([^;]+)/.exec(request.headers.get('cookie') ?? '')?.[1]
  const check = checks.get(cookie)
  checks.delete(cookie)
  if (!check) throw new Error('nobody began this sign-in')
  const knows = await knowledge(name)
  const tokens = await oidc.authorizationCodeGrant(knows.server, request, check)
  const claims = tokens.claims()
  const userinfo = await oidc.fetchUserInfo(knows.server, tokens.access_token, claims.sub)
  const { method } = request
  return [200, {}, { method, header: decodeProtectedHeader(tokens.id_token), claims, userinfo, key_sets: knows.keySets }]
}

async function answer(request) {
  const [, name, page] = new URL(request.url).pathname.split('/')
  try {
    if (config.clients[name] && page === 'login') return await login(name)
    if (config.clients[name] && page === 'callback') return await callback(name, request)
    return [404, {}, {}]
  } catch (err) {
    const { code: of, error, error_description } = err
    if (error) return [403, {}, { of, error, error_description }]
    if (of === 'OAUTH_WWW_AUTHENTICATE_CHALLENGE') return [403, {}, { of, ...(await err.response.json()) }]
    return [500, {}, { failure: `${err.stack}\ncause: ${err.cause?.stack ?? JSON.stringify(err.cause)}` }]
  }
}

createServer(async (incoming, outgoing) => {
  const chunks = []
  for await (const chunk of incoming) chunks.push(chunk)
  const { method, headers } = incoming
  const body = method === 'POST' ? Buffer.concat(chunks) : undefined
  const [status, head, value] = await answer(new Request(origin + incoming.url, { method, headers, body }))
  outgoing.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...head })
  outgoing.end(value && JSON.stringify(value))
}).listen(config.port, '127.0.0.1', () => console.log(`listening at ${origin}`))
