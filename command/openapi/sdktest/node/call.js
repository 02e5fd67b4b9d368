// Calls the API with one of Alibaba Cloud's Node SDKs and prints what the SDK made of the answer, one JSON object:
//
//	node call.js SDK ACTION PARAMETERS
//
// SDK: pop-core, pop-core-get, openapi-client, openapi-core or iot20180120. PARAMETERS: a JSON object; the names in BODY go
// into the form body, as the SDKs' typed calls do. Environment: TBOXGATE_API (HOST:PORT), ACCESS_KEY_ID, ACCESS_KEY_SECRET,
// SECURITY_TOKEN (optional).
'use strict';

const [sdk, action, parameters] = process.argv.slice(2);
const endpoint = process.env.TBOXGATE_API;
const accessKeyId = process.env.ACCESS_KEY_ID;
const accessKeySecret = process.env.ACCESS_KEY_SECRET;
const securityToken = process.env.SECURITY_TOKEN || undefined;
const BODY = new Set(['MessageContent', 'RequestBase64Byte']);
const version = '2018-01-20';

const split = (all) => {
  const query = {};
  const body = {};
  for (const [name, value] of Object.entries(all)) (BODY.has(name) ? body : query)[name] = value;
  return { query, body };
};

// Signature 1.
const popCore = (method) => async (all) => {
  const Core = require('@alicloud/pop-core');
  const client = new Core({ accessKeyId, accessKeySecret, securityToken, endpoint: `http://${endpoint}`, apiVersion: version });
  return client.request(action, all, { method });
};

// V3, with the generic call of the openapi-client generation.
const openapiClient = async (all) => {
  const { default: Client, Config, Params, OpenApiRequest } = require('@alicloud/openapi-client');
  const { RuntimeOptions } = require('@alicloud/tea-util');
  const client = new Client(new Config({ accessKeyId, accessKeySecret, securityToken, endpoint, protocol: 'HTTP' }));
  const params = new Params({
    action, version, protocol: 'HTTP', method: 'POST', authType: 'AK', style: 'RPC', pathname: '/', reqBodyType: 'formData', bodyType: 'json',
  });
  const answer = await client.callApi(params, new OpenApiRequest(split(all)), new RuntimeOptions({}));
  return answer.body;
};

// V3, with the generic call of the newest generation.
const openapiCore = async (all) => {
  const { default: Client, $OpenApiUtil } = require('@alicloud/openapi-core');
  const { RuntimeOptions } = require('@darabonba/typescript');
  const client = new Client(new $OpenApiUtil.Config({ accessKeyId, accessKeySecret, securityToken, endpoint, protocol: 'HTTP' }));
  const params = new $OpenApiUtil.Params({
    action, version, protocol: 'HTTP', method: 'POST', authType: 'AK', style: 'RPC', pathname: '/', reqBodyType: 'formData', bodyType: 'json',
  });
  const answer = await client.callApi(params, new $OpenApiUtil.OpenApiRequest(split(all)), new RuntimeOptions({}));
  return answer.body;
};

// V3, with the typed calls of the product's package.
const iot20180120 = async (all) => {
  const iot = require('@alicloud/iot20180120');
  const { Config } = require('@alicloud/openapi-client');
  const client = new iot.default(new Config({ accessKeyId, accessKeySecret, securityToken, endpoint, protocol: 'HTTP' }));
  const typed = {};
  for (const [name, value] of Object.entries(all)) typed[name[0].toLowerCase() + name.slice(1)] = value;
  const method = action === 'RRpc' ? 'rRpc' : action[0].toLowerCase() + action.slice(1);
  const answer = await client[method](new iot[`${action}Request`](typed));
  return answer.body.toMap();
};

const sdks = {
  'pop-core': popCore('POST'), 'pop-core-get': popCore('GET'), 'openapi-client': openapiClient, 'openapi-core': openapiCore, iot20180120,
};

sdks[sdk](JSON.parse(parameters)).then(
  (answer) => console.log(JSON.stringify({ answer })),
  (error) => console.log(JSON.stringify({ error: { code: error.code, message: error.message } })),
);
