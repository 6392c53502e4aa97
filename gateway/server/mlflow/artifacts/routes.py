"""
The table of the routes about artifacts.
"""

from __future__ import annotations

from gateway.server.mlflow.artifacts.listing import list_of_proxy, list_of_run
from gateway.server.mlflow.artifacts.refusals import download_in_parts, parts, signed_download, signed_upload
from gateway.server.mlflow.artifacts.sending import download, download_of_model, download_of_run, download_of_version
from gateway.server.mlflow.artifacts.storing import delete, upload, upload_posted
from gateway.server.mlflow.protobuf import integer, required, string
from gateway.server.mlflow.routing import RawRoute, Route

PROXY = "/mlflow-artifacts"
_TEXT, _NEEDED = [string], [required, string]

ROUTES: list[Route | RawRoute] = [
    Route("GET", "/mlflow/artifacts/list", "ListArtifacts", list_of_run,
          {"run_id": [string, required], "path": _TEXT, "page_token": _TEXT}),
    Route("GET", f"{PROXY}/artifacts", "ListArtifacts", list_of_proxy),
    RawRoute("GET", f"{PROXY}/artifacts/{{path:path}}", download),
    RawRoute("PUT", f"{PROXY}/artifacts/{{path:path}}", upload),
    RawRoute("DELETE", f"{PROXY}/artifacts/{{path:path}}", delete),
    Route("POST", f"{PROXY}/mpu/create/{{path:path}}", "CreateMultipartUpload", parts,
          {"path": _NEEDED, "num_parts": [integer]}),
    Route("POST", f"{PROXY}/mpu/complete/{{path:path}}", "CompleteMultipartUpload", parts,
          {"path": _NEEDED, "upload_id": _TEXT, "parts": [required]}),
    Route("POST", f"{PROXY}/mpu/abort/{{path:path}}", "AbortMultipartUpload", parts,
          {"path": _NEEDED, "upload_id": _TEXT}),
    Route("GET", f"{PROXY}/presigned/{{path:path}}", "ListArtifacts", download_in_parts),
    Route("POST", "/mlflow/artifacts/presigned-upload-url", "CreatePresignedUploadUrl", signed_upload,
          {"run_id": _TEXT, "model_id": _TEXT, "path": _NEEDED, "expiration": [integer]}),
    Route("POST", "/mlflow/artifacts/presigned-download-url", "CreatePresignedDownloadUrl", signed_download,
          {"run_id": _NEEDED, "path": _NEEDED, "expiration": [integer]}),
    RawRoute("POST", "/mlflow/upload-artifact", upload_posted),
    RawRoute("GET", "/mlflow/logged-models/{model_id}/artifacts/files", download_of_model),
    RawRoute("GET", "/get-artifact", download_of_run, version=None),
    RawRoute("GET", "/model-versions/get-artifact", download_of_version, version=None),
]  # fmt: skip
