from tests.service.page.conftest import chromium as chromium
from tests.service.page.conftest import open_page as open_page
