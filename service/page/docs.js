// The calls of this service, to read and to try; the token that is entered stays on this page.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#calls",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
