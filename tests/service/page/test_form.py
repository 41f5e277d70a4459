"""The form of a new job: the service checks what is typed and says what it costs."""

import json

import pytest
from playwright.sync_api import expect

from tests.service.page.browsing import Open, violations
from tests.service.running import Running


def test_the_form_is_checked_by_the_service_and_submits(service: Running, open_page: Open) -> None:
    page = open_page()
    page.goto(service.url + "/#/new")
    cost = page.locator(".cost")
    expect(cost).to_contain_text("480")
    assert violations(page) == []
    field = page.get_by_label("n_inputs", exact=True)
    field.fill("0")
    expect(field).to_have_attribute("aria-invalid", "true")
    told = service.client().post("/v1/plans", json={"data": {"n_features": 40, "n_inputs": 0}, "grid": {}}).json()
    message = next(error["message"] for error in told["errors"] if error["key"] == "data.n_inputs")
    expect(page.locator(".wrong").filter(has_text=message)).to_be_visible()
    expect(page.get_by_role("button", name="Submit the job")).to_be_disabled()
    assert violations(page) == []
    field.fill("10")
    page.get_by_label("name", exact=True).fill("from the form")
    page.get_by_label("sparsity", exact=True).fill("0.5, 0.9")
    page.get_by_label("seeds", exact=True).fill("2")
    expect(cost).to_contain_text("96")
    page.get_by_text("As JSON").click()
    area = page.get_by_label("The spec as JSON")
    spec = json.loads(area.input_value())
    assert spec["grid"]["sparsity"] == [0.5, 0.9]
    area.fill(json.dumps({**spec, "training": {"steps": 7}}))
    expect(page.get_by_label("steps", exact=True)).to_have_value("7")
    refined = {**spec, "refine": {"budget": 90}}
    area.fill(json.dumps(refined))
    expect(cost).to_contain_text("at most 90")
    expect(cost).to_contain_text("conditions may be sampled; those near the boundary are")
    area.fill(json.dumps({**spec, "training": {"steps": 7}}))
    expect(cost).not_to_contain_text("Candidates")
    page.get_by_role("button", name="Submit the job").click()
    expect(page.get_by_role("heading", name="from the form")).to_be_visible()
    job = service.client().get(f"/v1/jobs/{page.url.rpartition('/')[2]}").json()
    assert (job["progress"]["trials_total"], job["spec"]["training"]["steps"]) == (96, 7)
    page.get_by_role("link", name="Use as a start").click()
    expect(page.get_by_label("steps", exact=True)).to_have_value("7")


@pytest.mark.long
def test_every_key_of_the_schema_has_a_field_and_every_example_a_cost(service: Running, open_page: Open) -> None:
    page = open_page()
    page.goto(service.url + "/#/new")
    expect(page.locator(".cost dl")).to_be_visible()
    schema = service.client().get("/v1/spec-schema").json()
    for part in ("Grid", "Training", "Recovery", "Resources"):
        for key in schema["$defs"][part]["properties"]:
            assert page.locator(".field, .part").filter(has_text=key).count(), f"{part}.{key}"
    for example in range(len(service.client().get("/page/examples.json").json())):
        with page.expect_response("**/v1/plans") as answer:
            page.get_by_label("Example").select_option(str(example))
        assert answer.value.status == 200
    page.get_by_role("button", name="write a range instead").first.click()
    page.get_by_label("num").first.fill("3")
    expect(page.locator(".wrong").filter(has_text="start")).to_be_visible()
