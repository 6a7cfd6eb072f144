-- A database of the version before sql/0004: its tables as SHOW CREATE TABLE gives them, and some rows.
CREATE TABLE `drift_report` (
  `id` char(36) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `use_case` varchar(48) NOT NULL,
  `as_of` datetime(6) NOT NULL,
  `model_version` int(11) DEFAULT NULL,
  `window_start` datetime(6) DEFAULT NULL,
  `window_end` datetime(6) DEFAULT NULL,
  `row_count` bigint(20) NOT NULL,
  `drifted` tinyint(1) DEFAULT NULL COMMENT 'NULL: too few rows for a verdict',
  `report` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`report`)),
  PRIMARY KEY (`id`),
  UNIQUE KEY `once` (`use_case`,`as_of`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
INSERT INTO `drift_report` (`id`, `use_case`, `as_of`, `model_version`, `window_start`, `window_end`, `row_count`, `drifted`, `report`) VALUES ('1609389f-b483-5d26-b3cf-02790bc3f584', 'toy', '2026-07-03 00:00:00', 1, '2026-06-26 00:00:00', '2026-07-03 00:00:00', 5, 1, '{\"reason\": \"1 of 1 features drifted\", \"features\": [{\"feature\": \"age\", \"psi\": 0.31, \"chance\": 0.02, \"level\": \"large\", \"drifted\": true, \"bins\": [\"missing\", \"< 50\", \"other\"], \"reference\": [0, 3, 5], \"current\": [1, 2, 2]}], \"quality\": {\"predictions\": 5, \"labelled\": 2, \"accuracy\": 0.5, \"prediction_psi\": null, \"answers\": {\"no\": 0.2, \"yes\": 0.8}, \"reason\": \"accuracy 0.5000 on 2 labelled predictions\"}}');
CREATE TABLE `ingest_batch` (
  `ingest_run_id` char(36) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `part` varchar(100) NOT NULL,
  `chunk` int(11) NOT NULL,
  `row_count` bigint(20) NOT NULL,
  `payload` longblob NOT NULL,
  PRIMARY KEY (`ingest_run_id`,`part`,`chunk`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `ingest_run` (
  `id` char(36) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `use_case` varchar(48) NOT NULL,
  `as_of` datetime(6) NOT NULL COMMENT 'what the source had recorded until then',
  `interval_start` datetime(6) NOT NULL COMMENT 'exclusive start of the extracted interval',
  `source_override` varchar(1024) NOT NULL DEFAULT '',
  `status` enum('extracting','extracted','validated','loaded','failed') NOT NULL,
  `rows_in` bigint(20) DEFAULT NULL,
  `rows_loaded` bigint(20) DEFAULT NULL,
  `rows_rejected` bigint(20) DEFAULT NULL,
  `report` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`report`)),
  `digest` char(64) CHARACTER SET ascii COLLATE ascii_general_ci DEFAULT NULL,
  `started_at` datetime(6) NOT NULL,
  `finished_at` datetime(6) DEFAULT NULL,
  `inputs` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL COMMENT 'per part: the files or the query, with digests and rows held back' CHECK (json_valid(`inputs`)),
  `declaration` char(64) CHARACTER SET ascii COLLATE ascii_general_ci DEFAULT NULL COMMENT 'digest of the declaration',
  `code_version` varchar(100) DEFAULT NULL,
  `seconds` double DEFAULT NULL COMMENT 'from the start of extract to the end of load',
  PRIMARY KEY (`id`),
  KEY `by_use_case` (`use_case`,`status`,`as_of`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
INSERT INTO `ingest_run` (`id`, `use_case`, `as_of`, `interval_start`, `source_override`, `status`, `rows_in`, `rows_loaded`, `rows_rejected`, `report`, `digest`, `started_at`, `finished_at`, `inputs`, `declaration`, `code_version`, `seconds`) VALUES ('00000001-0000-0000-0000-000000000000', 'toy', '2026-08-01 00:00:00', '1970-01-01 00:00:00', '', 'extracting', NULL, NULL, NULL, NULL, NULL, '2026-07-02 00:00:00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO `ingest_run` (`id`, `use_case`, `as_of`, `interval_start`, `source_override`, `status`, `rows_in`, `rows_loaded`, `rows_rejected`, `report`, `digest`, `started_at`, `finished_at`, `inputs`, `declaration`, `code_version`, `seconds`) VALUES ('00000002-0000-0000-0000-000000000000', 'toy', '2026-08-02 00:00:00', '1970-01-01 00:00:00', '', 'extracted', NULL, NULL, NULL, NULL, NULL, '2026-07-02 00:00:00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO `ingest_run` (`id`, `use_case`, `as_of`, `interval_start`, `source_override`, `status`, `rows_in`, `rows_loaded`, `rows_rejected`, `report`, `digest`, `started_at`, `finished_at`, `inputs`, `declaration`, `code_version`, `seconds`) VALUES ('00000003-0000-0000-0000-000000000000', 'toy', '2026-08-03 00:00:00', '1970-01-01 00:00:00', '', 'validated', NULL, NULL, NULL, NULL, NULL, '2026-07-02 00:00:00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO `ingest_run` (`id`, `use_case`, `as_of`, `interval_start`, `source_override`, `status`, `rows_in`, `rows_loaded`, `rows_rejected`, `report`, `digest`, `started_at`, `finished_at`, `inputs`, `declaration`, `code_version`, `seconds`) VALUES ('00000004-0000-0000-0000-000000000000', 'toy', '2026-08-04 00:00:00', '1970-01-01 00:00:00', '', 'failed', NULL, NULL, NULL, NULL, NULL, '2026-07-02 00:00:00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO `ingest_run` (`id`, `use_case`, `as_of`, `interval_start`, `source_override`, `status`, `rows_in`, `rows_loaded`, `rows_rejected`, `report`, `digest`, `started_at`, `finished_at`, `inputs`, `declaration`, `code_version`, `seconds`) VALUES ('6975fa1b-f9bd-584e-a32d-d3f2b5138e3b', 'toy', '2026-06-01 00:00:00', '1970-01-01 00:00:00', '', 'loaded', NULL, 3, NULL, NULL, '96a844db720d57adc102fd7f8b4c666d9dd56248c51a2c227f6ad4d5037973bf', '2026-11-29 23:45:08.260332', '2026-11-29 23:45:08.673934', NULL, NULL, NULL, 0.413602e0);
INSERT INTO `ingest_run` (`id`, `use_case`, `as_of`, `interval_start`, `source_override`, `status`, `rows_in`, `rows_loaded`, `rows_rejected`, `report`, `digest`, `started_at`, `finished_at`, `inputs`, `declaration`, `code_version`, `seconds`) VALUES ('8143d2e2-dd5e-5d9b-9c71-d0232c67a90b', 'toy', '2026-07-01 00:00:00', '2026-06-01 00:00:00', '', 'loaded', NULL, 1, NULL, NULL, '5421a0b14b224151be2afaaf06355789602b61f98a10ca030c36cf194c9231d9', '2026-11-29 23:45:08.717193', '2026-11-29 23:45:08.749308', NULL, NULL, NULL, 0.032115e0);
CREATE TABLE `quarantine` (
  `ingest_run_id` char(36) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `part` varchar(100) NOT NULL,
  `source_row` bigint(20) NOT NULL COMMENT 'of the rows read, from 1',
  `reasons` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(`reasons`)),
  `content` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(`content`)),
  PRIMARY KEY (`ingest_run_id`,`part`,`source_row`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `reference_profile` (
  `use_case` varchar(48) NOT NULL,
  `model_version` int(11) NOT NULL,
  `feature` varchar(48) NOT NULL,
  `kind` enum('numeric','category') NOT NULL,
  `bins` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(`bins`)),
  `counts` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(`counts`)),
  PRIMARY KEY (`use_case`,`model_version`,`feature`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
INSERT INTO `reference_profile` (`use_case`, `model_version`, `feature`, `kind`, `bins`, `counts`) VALUES ('toy', 1, 'age', 'numeric', '[0.0, 50.0]', '[0, 3, 4, 1]');
INSERT INTO `reference_profile` (`use_case`, `model_version`, `feature`, `kind`, `bins`, `counts`) VALUES ('toy', 1, 'segment', 'category', '[\"web\", \"shop\"]', '[5, 2, 1]');
CREATE TABLE `retired_column` (
  `table_name` varchar(64) NOT NULL,
  `column_name` varchar(64) NOT NULL COMMENT 'its name while it was declared',
  `retired_as` varchar(64) NOT NULL COMMENT 'its name now',
  `column_type` varchar(64) NOT NULL,
  `retired_at` datetime(6) NOT NULL,
  PRIMARY KEY (`table_name`,`retired_as`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
CREATE TABLE `retrain_decision` (
  `id` char(36) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `use_case` varchar(48) NOT NULL,
  `as_of` datetime(6) NOT NULL,
  `retrain` tinyint(1) NOT NULL,
  `reason` text NOT NULL,
  `drift_report_id` char(36) CHARACTER SET ascii COLLATE ascii_general_ci DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `once` (`use_case`,`as_of`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
INSERT INTO `retrain_decision` (`id`, `use_case`, `as_of`, `retrain`, `reason`, `drift_report_id`, `created_at`) VALUES ('aefb2256-900b-5076-b8c6-3e107842421b', 'toy', '2026-07-03 00:00:00', 1, 'drift', '1609389f-b483-5d26-b3cf-02790bc3f584', '2026-07-03 00:00:00');
CREATE TABLE `schema_migration` (
  `name` varchar(100) NOT NULL,
  `applied_at` datetime(6) NOT NULL DEFAULT utc_timestamp(6),
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
INSERT INTO `schema_migration` (`name`, `applied_at`) VALUES ('0001_platform', '2026-11-29 23:45:07.601049');
INSERT INTO `schema_migration` (`name`, `applied_at`) VALUES ('0002_feature_store', '2026-11-29 23:45:07.814912');
INSERT INTO `schema_migration` (`name`, `applied_at`) VALUES ('0003_ledger', '2026-11-29 23:45:07.905385');
CREATE TABLE `store_state` (
  `table_name` varchar(64) NOT NULL,
  `changes` bigint(20) NOT NULL DEFAULT 0,
  `history_from` datetime(6) DEFAULT NULL COMMENT 'system versions that ended before are deleted; NULL: all are kept',
  PRIMARY KEY (`table_name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
INSERT INTO `store_state` (`table_name`, `changes`, `history_from`) VALUES ('toy__facts', 2, NULL);
INSERT INTO `store_state` (`table_name`, `changes`, `history_from`) VALUES ('toy__facts__online', 2, NULL);
INSERT INTO `store_state` (`table_name`, `changes`, `history_from`) VALUES ('toy__label', 1, NULL);
CREATE TABLE `toy__facts` (
  `client_id` bigint(20) NOT NULL,
  `event_time` datetime(6) NOT NULL,
  `ingested_at` datetime(6) NOT NULL,
  `age` bigint(20) DEFAULT NULL,
  `visits` bigint(20) DEFAULT NULL,
  `spend` double DEFAULT NULL,
  `segment` varchar(255) DEFAULT NULL,
  `mood` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`client_id`,`event_time`,`ingested_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin WITH SYSTEM VERSIONING;
INSERT INTO `toy__facts` (`client_id`, `event_time`, `ingested_at`, `age`, `visits`, `spend`, `segment`, `mood`) VALUES (1, '2026-06-01 00:00:00', '2026-06-01 00:00:00', 40, 1, NULL, NULL, 'fine');
INSERT INTO `toy__facts` (`client_id`, `event_time`, `ingested_at`, `age`, `visits`, `spend`, `segment`, `mood`) VALUES (1, '2026-06-01 00:00:00', '2026-07-01 00:00:00', 41, 1, NULL, NULL, 'fine');
INSERT INTO `toy__facts` (`client_id`, `event_time`, `ingested_at`, `age`, `visits`, `spend`, `segment`, `mood`) VALUES (2, '2026-06-01 00:00:00', '2026-06-01 00:00:00', 50, 1, NULL, NULL, '7');
CREATE TABLE `toy__facts__online` (
  `client_id` bigint(20) NOT NULL,
  `event_time` datetime(6) NOT NULL,
  `ingested_at` datetime(6) NOT NULL,
  `age` bigint(20) DEFAULT NULL,
  `visits` bigint(20) DEFAULT NULL,
  `spend` double DEFAULT NULL,
  `segment` varchar(255) DEFAULT NULL,
  `mood` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`client_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
INSERT INTO `toy__facts__online` (`client_id`, `event_time`, `ingested_at`, `age`, `visits`, `spend`, `segment`, `mood`) VALUES (1, '2026-06-01 00:00:00', '2026-07-01 00:00:00', 41, 1, NULL, NULL, 'fine');
INSERT INTO `toy__facts__online` (`client_id`, `event_time`, `ingested_at`, `age`, `visits`, `spend`, `segment`, `mood`) VALUES (2, '2026-06-01 00:00:00', '2026-06-01 00:00:00', 50, 1, NULL, NULL, '7');
CREATE TABLE `toy__label` (
  `client_id` bigint(20) NOT NULL,
  `event_time` datetime(6) NOT NULL,
  `ingested_at` datetime(6) NOT NULL,
  `leaves` varchar(255) NOT NULL,
  PRIMARY KEY (`client_id`,`event_time`,`ingested_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin WITH SYSTEM VERSIONING;
INSERT INTO `toy__label` (`client_id`, `event_time`, `ingested_at`, `leaves`) VALUES (1, '2026-06-01 00:00:00', '2026-06-01 00:00:00', 'yes');
CREATE TABLE `toy__prediction` (
  `prediction_id` char(36) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `predicted_at` datetime(6) NOT NULL,
  `model_version` int(11) NOT NULL,
  `channel` enum('online','batch','canary') NOT NULL,
  `client_id` bigint(20) DEFAULT NULL,
  `age` bigint(20) DEFAULT NULL,
  `visits` bigint(20) DEFAULT NULL,
  `spend` double DEFAULT NULL,
  `segment` varchar(255) DEFAULT NULL,
  `mood` varchar(255) DEFAULT NULL,
  `prediction` varchar(255) NOT NULL,
  `probability` double DEFAULT NULL,
  `probabilities` longtext DEFAULT NULL,
  `actual` varchar(255) DEFAULT NULL,
  `actual_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`prediction_id`,`predicted_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin
 PARTITION BY RANGE  COLUMNS(`predicted_at`)
(PARTITION `p20260703` VALUES LESS THAN ('2026-07-04') ENGINE = InnoDB,
 PARTITION `p20260704` VALUES LESS THAN ('2026-07-05') ENGINE = InnoDB,
 PARTITION `p20260705` VALUES LESS THAN ('2026-07-06') ENGINE = InnoDB,
 PARTITION `p20260706` VALUES LESS THAN ('2026-07-07') ENGINE = InnoDB,
 PARTITION `p20260707` VALUES LESS THAN ('2026-07-08') ENGINE = InnoDB,
 PARTITION `p20260708` VALUES LESS THAN ('2026-07-09') ENGINE = InnoDB,
 PARTITION `p20260709` VALUES LESS THAN ('2026-07-10') ENGINE = InnoDB,
 PARTITION `p20260710` VALUES LESS THAN ('2026-07-11') ENGINE = InnoDB,
 PARTITION `pmax` VALUES LESS THAN (MAXVALUE) ENGINE = InnoDB);
INSERT INTO `toy__prediction` (`prediction_id`, `predicted_at`, `model_version`, `channel`, `client_id`, `age`, `visits`, `spend`, `segment`, `mood`, `prediction`, `probability`, `probabilities`, `actual`, `actual_at`) VALUES ('019f1af9-b400-7000-8000-000000000000', '2026-07-01 00:00:00', 1, 'online', 0, 40, 1, 2.5e0, 'web', 'fine', 'yes', 0.75e0, '{\"no\": 0.25, \"yes\": 0.75}', NULL, NULL);
INSERT INTO `toy__prediction` (`prediction_id`, `predicted_at`, `model_version`, `channel`, `client_id`, `age`, `visits`, `spend`, `segment`, `mood`, `prediction`, `probability`, `probabilities`, `actual`, `actual_at`) VALUES ('019f1af9-b401-7000-8000-000000000001', '2026-07-01 00:00:00.001000', 1, 'canary', 1, 41, 1, 2.5e0, 'web', 'fine', 'yes', 0.75e0, '{\"no\": 0.25, \"yes\": 0.75}', NULL, NULL);
INSERT INTO `toy__prediction` (`prediction_id`, `predicted_at`, `model_version`, `channel`, `client_id`, `age`, `visits`, `spend`, `segment`, `mood`, `prediction`, `probability`, `probabilities`, `actual`, `actual_at`) VALUES ('019f2020-1002-7000-8000-000000000002', '2026-07-02 00:00:00.002000', 1, 'batch', 2, 42, 1, 2.5e0, 'web', 'fine', 'yes', 0.75e0, '{\"no\": 0.25, \"yes\": 0.75}', NULL, NULL);
INSERT INTO `toy__prediction` (`prediction_id`, `predicted_at`, `model_version`, `channel`, `client_id`, `age`, `visits`, `spend`, `segment`, `mood`, `prediction`, `probability`, `probabilities`, `actual`, `actual_at`) VALUES ('019f2020-1003-7000-8000-000000000003', '2026-07-02 00:00:00.003000', 1, 'online', 3, 43, 1, 2.5e0, 'web', 'fine', 'yes', 0.75e0, '{\"no\": 0.25, \"yes\": 0.75}', NULL, NULL);
INSERT INTO `toy__prediction` (`prediction_id`, `predicted_at`, `model_version`, `channel`, `client_id`, `age`, `visits`, `spend`, `segment`, `mood`, `prediction`, `probability`, `probabilities`, `actual`, `actual_at`) VALUES ('019f2546-6c04-7000-8000-000000000004', '2026-07-03 00:00:00.004000', 1, 'canary', 4, 44, 1, 2.5e0, 'web', 'fine', 'yes', 0.75e0, '{\"no\": 0.25, \"yes\": 0.75}', NULL, NULL);
CREATE TABLE `training_run` (
  `id` char(36) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `use_case` varchar(48) NOT NULL,
  `as_of` datetime(6) NOT NULL,
  `reason` varchar(255) NOT NULL,
  `status` varchar(32) NOT NULL,
  `dataset_digest` char(64) CHARACTER SET ascii COLLATE ascii_general_ci DEFAULT NULL,
  `dataset_rows` bigint(20) DEFAULT NULL,
  `params` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`params`)),
  `metrics` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`metrics`)),
  `verdict` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`verdict`)),
  `mlflow_run_id` varchar(64) DEFAULT NULL,
  `model_version` int(11) DEFAULT NULL,
  `started_at` datetime(6) NOT NULL,
  `finished_at` datetime(6) DEFAULT NULL,
  `dataset_query` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL COMMENT 'which columns of which tables, joined how' CHECK (json_valid(`dataset_query`)),
  `dataset_read_at` datetime(6) DEFAULT NULL COMMENT 'system time of the rows',
  PRIMARY KEY (`id`),
  UNIQUE KEY `once` (`use_case`,`as_of`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
INSERT INTO `training_run` (`id`, `use_case`, `as_of`, `reason`, `status`, `dataset_digest`, `dataset_rows`, `params`, `metrics`, `verdict`, `mlflow_run_id`, `model_version`, `started_at`, `finished_at`, `dataset_query`, `dataset_read_at`) VALUES ('10000000-0000-0000-0000-000000000000', 'toy', '2026-07-01 00:00:00', 'by hand', 'promoted', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 12, '{\"learning_rate\": 0.1}', '{\"roc_auc\": 0.9}', '{\"passed\": true}', 'abc', 1, '2026-07-01 00:00:00', '2026-07-01 00:10:00', '{\"use_case\": \"toy\", \"as_of\": \"2026-07-01T00:00:00+00:00\", \"since\": null, \"keys\": [[\"client_id\", \"int\"]], \"label\": {\"table\": \"toy__label\", \"columns\": [[\"leaves\", \"category\"]], \"delay_seconds\": 604800.0}, \"views\": [{\"table\": \"toy__facts\", \"columns\": [[\"age\", \"int\"]], \"max_age_seconds\": null}]}', '2026-07-01 00:00:00');
