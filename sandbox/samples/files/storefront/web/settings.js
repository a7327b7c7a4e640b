'use strict'

function required(name) {
  const value = process.env[name]
  if (!value) throw new Error(`setting ${name} is missing`)
  return value
}

module.exports = {
  databaseUrl: required('DATABASE_URL'),
  sessionKey: required('SESSION_KEY'),
  logLevel: process.env.LOG_LEVEL || 'info',
  pageSize: 24,
}
