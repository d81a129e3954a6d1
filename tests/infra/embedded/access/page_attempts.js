// What a page may try on a server at `aws`. Each attempt gives what the page can read of the answer, or throws.

const form = (fields) => {
  const tag = document.createElement("form");
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement("input");
    Object.assign(field, { name, value });
    tag.append(field);
  }
  return tag;
};

const framed = (start) =>
  new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.name = "frame" + document.querySelectorAll("iframe").length;
    frame.onload = () => done(frame.contentDocument.body.textContent);
    start(frame);
  });

const text = (answer) => answer.text();

window.ATTEMPTS = {
  "a simple POST that creates a job": (aws, job) =>
    fetch(aws + "/?X-Amz-Credential=test/20260101/us-east-1/sagemaker/aws4_request", {
      method: "POST",
      body: job,
      headers: { "Content-Type": "text/plain" },
    }).then(text),
  "the same, with the operation in the path, and no wish to read": (aws, job) =>
    fetch(aws + "/service/SageMaker/operation/CreateTrainingJob?X-Amz-Credential=test/20260101/us-east-1/sagemaker/aws4_request", {
      method: "POST",
      mode: "no-cors",
      body: job,
    }).then(text),
  "a POST with SageMaker's own headers": (aws, job) =>
    fetch(aws, {
      method: "POST",
      body: job,
      headers: {
        "X-Amz-Target": "SageMaker.CreateTrainingJob",
        "Content-Type": "application/x-amz-json-1.1",
        Authorization: "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sagemaker/aws4_request",
      },
    }).then(text),
  "the list of buckets": (aws) => fetch(aws + "/").then(text),
  "an object": (aws) => fetch(aws + "/paged/secret").then(text),
  "an object as a script": (aws) =>
    new Promise((done, fail) => {
      const tag = document.createElement("script");
      Object.assign(tag, { src: aws + "/paged/secret", onload: () => done("loaded"), onerror: () => fail("not loaded") });
      document.head.append(tag);
    }),
  "an object in a frame": (aws) =>
    framed((frame) => {
      frame.src = aws + "/paged/secret";
      document.body.append(frame);
    }),
  "a form": (aws) =>
    framed((frame) => {
      document.body.append(frame);
      const sent = form({ '{"kind": "throttle", "service": "': '"}' });
      Object.assign(sent, { target: frame.name, method: "POST", enctype: "text/plain", action: aws + "/_ahx/faults" });
      document.body.append(sent);
      sent.submit();
    }),
  faults: (aws) =>
    fetch(aws + "/_ahx/faults", { method: "POST", mode: "no-cors", body: JSON.stringify({ kind: "throttle" }) }).then(text),
  "the status": (aws) => fetch(aws + "/_ahx/status").then(text),
  "a reset": (aws) => fetch(aws + "/moto-api/reset", { method: "POST", mode: "no-cors" }).then(text),
  "a beacon that resets": (aws) => (navigator.sendBeacon(aws + "/moto-api/reset", ""), ""),
  "a socket": (aws) =>
    new Promise((done, fail) => {
      const socket = new WebSocket(aws.replace("http", "ws"));
      Object.assign(socket, { onopen: () => done("open"), onerror: () => fail("not open") });
    }),
};

window.attempt = (name, aws, job) =>
  Promise.race([
    Promise.resolve(ATTEMPTS[name](aws, job)),
    new Promise((done, fail) => setTimeout(fail, 5000, "no answer")),
  ]).then(String, () => "");
