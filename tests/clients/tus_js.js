// Uploads a file with tus-js-client: tus_js.js URL FILE STORAGE MODE.
'use strict'

const fs = require('fs')
const { PassThrough } = require('stream')
const tus = require('tus-js-client')

const [endpoint, path, storage, mode] = process.argv.slice(2)

const options = {
  endpoint,
  retryDelays: mode === 'once' ? null : [0, 50, 100, 200, 500],
  metadata: { filename: 'größe.bin' },
  urlStorage: new tus.FileUrlStorage(storage),
  onError(error) {
    console.error(String(error))
    process.exit(1)
  },
  onSuccess() {
    console.log(upload.url)
  },
}
const modes = {
  once: {},
  resume: {},
  parallel: { parallelUploads: 3 },
  creation: { uploadDataDuringCreation: true },
  deferred: { uploadLengthDeferred: true, chunkSize: 500_000 },
  override: { overridePatchMethod: true, chunkSize: 500_000 },
  terminate: {
    onProgress(sent) {
      if (sent > 0) upload.abort(true).then(() => process.exit(0), options.onError)
    },
  },
}
// Of a file the client knows the length, and defers it all the same: what it sends last is cut short.
const file = fs.createReadStream(path)
const input = mode === 'deferred' ? file.pipe(new PassThrough()) : file
const upload = new tus.Upload(input, { ...options, ...modes[mode] })

upload.findPreviousUploads().then((previous) => {
  if (previous.length > 0) upload.resumeFromPreviousUpload(previous[0])
  upload.start()
})
