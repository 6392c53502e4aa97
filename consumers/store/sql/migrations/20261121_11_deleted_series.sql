-- Series that were only marked as deleted go, with their points: what comes later under such a name is a new series.
-- depends: 20261121_09_trackers

-- migrate: apply

DELETE FROM chunks USING series
WHERE series.deleted AND chunks.series_id = series.series_id AND chunks.month = series.month;
DELETE FROM series WHERE deleted;

-- migrate: rollback
